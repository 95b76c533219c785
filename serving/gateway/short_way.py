"""
The short way to what is asked most: a reader's list, of some length and nothing else, for a caller
who is known.

The layers of the gateway, and to read such a question as any other, take longer than to answer it.
Whatever wishes more, comes from somebody who has to be looked up, or fails, takes the long way
through them, which is the same in all else.

Pure ASGI, outside of all layers. Paths with an encoded character are for the edge to read first.
"""

import asyncio
import re
import time

from starlette.types import ASGIApp, Receive, Scope, Send

from serving.bootstrap import Components
from serving.gateway.admission import admitted
from serving.gateway.edge import (
    ANSWER_SECONDS,
    API_CACHE,
    BEGAN,
    MAX_IN_FLIGHT,
    READERS,
    headers_of,
    named,
    record,
)
from serving.gateway.guard import COUNTED
from serving.gateway.remembering import Kept, Question, send_document
from serving.gateway.requests import MAX_LENGTH, Paged
from serving.gateway.schemas import ReadersList
from serving.recommending.paging import Page

ROUTE = "/api/v1/users/{user_id}/recommendations"
_PATH = re.compile(r"/api/v1/users/([^/]{1,256})/recommendations")
_QUERY = re.compile(rb"(?:n=([1-9][0-9]{0,2}))?")
_DEFAULT = Paged().n


class ShortWay:
    """Answers readers' plain questions, and leaves everything else to the application."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._in_flight = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._in_flight < MAX_IN_FLIGHT and (plain := _plain_question(scope)) is not None:
            self._in_flight += 1
            try:
                if await _answered(scope, *plain, send):
                    return
            finally:
                self._in_flight -= 1
        await self._app(scope, receive, send)


def _plain_question(scope: Scope) -> tuple[str, int] | None:
    """For whom, and how many; None where something else is asked, or something is wrong."""
    if scope["type"] != "http" or scope["method"] != "GET":
        return None
    if not scope["path"].startswith(READERS) or b"%" in (scope.get("raw_path") or b"%"):
        return None
    path, query = _PATH.fullmatch(scope["path"]), _QUERY.fullmatch(scope["query_string"])
    if path is None or query is None:
        return None
    n = int(query[1] or _DEFAULT)
    return (path[1], n) if n <= MAX_LENGTH else None


async def _answered(scope: Scope, user_id: str, n: int, send: Send) -> bool:
    started = time.perf_counter()
    parts: Components = scope["app"].state.components
    asked = Question.of(scope, parts)
    if asked is None:
        return False
    headers, request_id = named(scope)
    caller = admitted(parts, scope, headers, ROUTE, user_id)
    if caller is None:
        return False
    allowance = parts.security.count_held(caller) or await parts.security.count(caller)
    scope["state"] |= {COUNTED: allowance, BEGAN: started}
    if not allowance.allowed:
        return False
    kept = asked.remembered
    try:
        body = await _made(asked, user_id, n) if kept is None else asked.given(kept)
    except Exception:  # noqa: BLE001 - the layers meet it again, and tell of it
        return False
    more = [API_CACHE, *headers_of(scope, request_id), *allowance.raw_headers()]
    await send_document(body, send, more)
    record(parts, scope, request_id, ROUTE, 200, started)
    return True


async def _made(asked: Question, user_id: str, n: int) -> bytes:
    """The document, of what Redis has or the model says; remembered from then on."""
    async with asyncio.timeout(ANSWER_SECONDS):
        answer = await asked.parts.recommendations.recommend(user_id, Page(n))
    body = ReadersList.json_of(answer)
    asked.parts.metrics.cache_operations.labels("local_miss").inc()
    asked.remember(Kept.of(body, ROUTE, asked.model.number))
    return body
