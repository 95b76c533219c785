"""
The short way to an answer that this worker remembers, or finds in Redis, for a caller it knows.

Where nobody has to be asked anything but Redis, which is waited for a moment at most, there is
nothing to limit in time: layers, timers and contexts would cost more than the answer. Whatever is
missing here, be it a credential not seen before or a request that is not held for the caller, takes
the long way through the layers, which ask, refuse and explain. So this one never says no.

Paths with an encoded character are for the edge to read first.
"""

import time

from starlette.types import ASGIApp, Receive, Scope, Send

from pipelines.errors import GrantError
from serving.gateway.edge import API_CACHE, headers_of, named, record
from serving.gateway.guard import COUNTED
from serving.gateway.plain_lists import ROUTE, plain_question
from serving.gateway.remembering import Header, Kept, Question, give, send_document
from serving.gateway.schemas import ReadersList
from serving.security.limits import Allowance
from serving.security.roles import may

_LONG = frozenset({b"origin", b"content-length", b"transfer-encoding"})
"""Headers of requests that more has to be done about: of other origins, or with a body."""


class ShortWay:
    """Answers what can be answered at once, and leaves everything else to the application."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and b"%" not in (scope.get("raw_path") or b"%"):
            asked = Question.of(scope)
            if asked is not None and await _answered(scope, asked, send):
                return
        await self._app(scope, receive, send)


async def _answered(scope: Scope, asked: Question, send: Send) -> bool:
    started = time.perf_counter()
    kept = asked.remembered
    plain = plain_question(scope) if kept is None else None
    if kept is None and (plain is None or asked.parts.models.compares):
        return False
    route = ROUTE if kept is None else kept.route
    request_id = named(scope)
    allowance = _admitted(scope, asked, route)
    if allowance is None:
        return False
    more = [API_CACHE, *headers_of(scope, request_id), *allowance.raw_headers()]
    if kept is not None:
        await give(kept, asked, send, more)
    elif plain is None or not await _found(asked, plain, send, more):
        scope["state"][COUNTED] = allowance
        return False
    record(scope, route, 200, started)
    return True


def _admitted(scope: Scope, asked: Question, route: str) -> Allowance | None:
    """What the caller may still ask, once this is counted; None where the layers have to decide."""
    headers, security = scope["state"]["headers"], asked.parts.security
    if headers.has_any(_LONG) or not security.is_trusted(headers.get("host")):
        return None
    try:
        principal = security.authenticator.recalled(scope, headers)
    except GrantError:
        return None
    if principal is None or not may(principal, f"GET {route}", asked.user_id):
        return None
    return security.count_held(principal)


async def _found(asked: Question, plain: tuple[str, int], send: Send, more: list[Header]) -> bool:
    """Give a reader's plain list, if Redis has it; tells whether it had."""
    user_id, n = plain
    try:
        answer = await asked.parts.recommendations.kept(asked.model, user_id, n)
    except Exception:  # noqa: BLE001 - the layers meet it again, and tell of it
        return False
    if answer is None:
        return False
    body = ReadersList.json_of(answer)
    asked.parts.metrics.cache_operations.labels("local_miss").inc()
    asked.remember(Kept.of(body, ROUTE, asked.model.number))
    await send_document(body, send, more)
    return True
