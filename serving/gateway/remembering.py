"""
Answers that this worker gave a moment ago, given again before the application is asked.

Pure ASGI, within the guard: who asks is known and counted, and the table of roles holds here too.
"""

import os
from dataclasses import dataclass

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.bootstrap import Components
from serving.gateway.edge import READERS, reader_of
from serving.generations import EVERYBODY
from serving.security.roles import may

REMEMBERED = (READERS, "/api/v1/books/", "/api/v1/genres")
"""What below these is asked by GET follows from the question, the model and the reader alone."""

_ID = b'{"recommendation_id":"'
_ID_LENGTH = 36
_MODEL, _CACHE = b'"source":"model"', b'"source":"cache"'
_TYPE = (b"content-type", b"application/json")


@dataclass(frozen=True, slots=True)
class _Kept:
    """An answer without its id, which each answer has anew; and the template of its path."""

    body: bytes
    route: str
    has_id: bool


@dataclass(frozen=True, slots=True)
class _Route:
    """As much of a route as is looked at behind the application."""

    path: str


class Remembering:
    """Keeps what the application answers to some questions, and answers them again."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not (
            scope["type"] == "http"
            and scope["method"] == "GET"
            and scope["path"].startswith(REMEMBERED)
        ):
            await self._app(scope, receive, send)
            return
        parts: Components = scope["app"].state.components
        user_id = reader_of(scope["path"])
        model = parts.models.current_for(user_id)
        if model is None:
            await self._app(scope, receive, send)
            return
        generation = EVERYBODY if user_id is None else parts.generations.of(user_id)
        key = (model.label, scope["path"], scope["query_string"])
        kept = parts.local_cache.get(key, generation)
        if kept is not None and may(scope["state"]["principal"], f"GET {kept.route}", user_id):
            await _give(kept, model.number, parts, scope, send)
            return
        listening = _Listening(send, model.number)
        await self._app(scope, receive, listening.send)
        answer = listening.answer(scope)
        if answer is not None:
            parts.local_cache.put(key, generation, answer, len(answer.body))


class _Listening:
    """Hears what the application answers, if it does so at once and with a document."""

    def __init__(self, send: Send, version: int) -> None:
        self._send = send
        self._version = version
        self._is_document = False
        self._body: bytes | None = None

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._is_document = message["status"] == 200 and _TYPE in message["headers"]
        elif self._is_document and not message.get("more_body", False):
            self._body = message.get("body", b"")
        else:
            self._is_document = False
        await self._send(message)

    def answer(self, scope: Scope) -> _Kept | None:
        """What to keep of it; nothing of an answer from another model than was in service."""
        body = self._body
        if body is None:
            return None
        route = scope["route"].path
        if not body.startswith(_ID):
            return _Kept(body, route, has_id=False)
        rest = body[len(_ID) + _ID_LENGTH :]
        if not rest.startswith(b'","model_version":%d,' % self._version):
            return None
        return _Kept(rest.replace(_MODEL, _CACHE, 1), route, has_id=True)


async def _give(kept: _Kept, version: int, parts: Components, scope: Scope, send: Send) -> None:
    scope["route"] = _Route(kept.route)
    body = kept.body
    if kept.has_id:
        body = _ID + _new_id() + body
        source = "cache" if _CACHE in body[:120] else "fallback"
        parts.metrics.recommendations.labels(source, str(version)).inc()
    parts.metrics.cache_operations.labels("local").inc()
    headers = [_TYPE, (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _new_id() -> bytes:
    """As `uuid4` draws and writes it, in a third of the time."""
    drawn = os.urandom(16).hex()
    variant = "89ab"[int(drawn[16], 16) & 3]
    return (
        f"{drawn[:8]}-{drawn[8:12]}-4{drawn[13:16]}-{variant}{drawn[17:20]}-{drawn[20:]}".encode()
    )
