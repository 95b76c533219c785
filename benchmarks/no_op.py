"""The least that a server can do, to hold ours against: `uvicorn benchmarks.no_op:raw`."""

from fastapi import FastAPI
from starlette.types import Receive, Scope, Send

BODY = b'{"ok":true}'


async def raw(scope: Scope, receive: Receive, send: Send) -> None:
    """Raw ASGI."""
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                return
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(BODY))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": BODY})


fast = FastAPI()
"""A bare FastAPI."""


@fast.api_route("/{path:path}", methods=["GET", "POST"])
async def answer(path: str) -> dict[str, bool]:  # noqa: ARG001 - part of the route
    return {"ok": True}
