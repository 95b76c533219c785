"""
The short way to an answer that this worker remembers, for a caller it knows.

Where nobody has to be asked anything, there is nothing to wait for, to limit in time or to catch:
layers, timers and contexts would cost more than the answer. Whatever is missing here, be it a
credential not seen before or a request that is not held for the caller, takes the long way through
the layers, which ask, refuse and explain. So this one never says no.

Paths with an encoded character are for the edge to read first.
"""

import time

from starlette.types import ASGIApp, Receive, Scope, Send

from pipelines.errors import GrantError
from serving.gateway.edge import API_CACHE, headers_of, named, record
from serving.gateway.remembering import Header, Kept, Question, give

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
    told = _told(scope, asked, kept) if kept is not None else None
    if kept is None or told is None:
        return False
    await give(kept, asked, send, told)
    record(scope, kept.route, 200, started)
    return True


def _told(scope: Scope, asked: Question, kept: Kept) -> list[Header] | None:
    """The headers of the answer, once the request is counted; None where it is not to be given."""
    request_id = named(scope)
    headers, security = scope["state"]["headers"], asked.parts.security
    if headers.has_any(_LONG) or not security.is_trusted(headers.get("host")):
        return None
    try:
        principal = security.authenticator.recalled(scope, headers)
    except GrantError:
        return None
    if principal is None or not kept.may_be_told(principal, asked.user_id):
        return None
    allowance = security.count_held(principal)
    if allowance is None:
        return None
    return [API_CACHE, *headers_of(scope, request_id), *allowance.raw_headers()]
