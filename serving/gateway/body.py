"""The body of a request: of a kind that is read, not too long, and there in time."""

import asyncio

from starlette.datastructures import Headers
from starlette.types import Message, Receive

from pipelines.service_settings import SecuritySettings

READ = frozenset({"application/json", "application/x-www-form-urlencoded"})
"""What is parsed; anything else, pickles above all, is not even looked at."""


class BodyError(Exception):
    """A body that is not taken; `status` says why to machines."""

    def __init__(self, status: int, message: str) -> None:
        self.status = status
        super().__init__(message)


async def read_body(headers: Headers, receive: Receive, settings: SecuritySettings) -> Receive:
    """
    Wait for the whole body, and give what reads it again.

    Raises:
        BodyError: of another kind (415), too long (413), or too slow (408).
    """
    announced = headers.get("content-length", "0")
    if "transfer-encoding" not in headers and announced == "0":
        return receive
    _check(headers, announced, settings.max_body_bytes)
    try:
        async with asyncio.timeout(settings.body_seconds):
            messages = await _messages(receive, settings.max_body_bytes)
    except TimeoutError:
        raise BodyError(408, f"the body was not there within {settings.body_seconds} s") from None

    async def again() -> Message:
        return messages.pop(0) if messages else await receive()

    return again


def _check(headers: Headers, announced: str, limit: int) -> None:
    if not announced.isdecimal():
        raise BodyError(400, "the Content-Length is not a number")
    if int(announced) > limit:
        raise BodyError(413, f"a body has {limit} bytes at most")
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in READ:
        raise BodyError(415, f"a body has to be {' or '.join(sorted(READ))}")
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise BodyError(415, "a body must not be compressed")


async def _messages(receive: Receive, limit: int) -> list[Message]:
    messages: list[Message] = []
    length, more = 0, True
    while more:
        message = await receive()
        length += len(message.get("body", b""))
        if length > limit:
            raise BodyError(413, f"a body has {limit} bytes at most")
        messages.append(message)
        more = message["type"] == "http.request" and message.get("more_body", False)
    return messages
