"""
The outermost layer of the gateway: what every request gets, whatever it asks.

Pure ASGI: Starlette's BaseHTTPMiddleware costs more than a whole request does here.
"""

import asyncio
import random
import re
import time
from collections.abc import Iterable
from urllib.parse import unquote_to_bytes

import structlog
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.bootstrap import Components
from serving.gateway.errors import internal_problem, problem
from serving.gateway.indexed_headers import IndexedHeaders

log = structlog.get_logger()

ENCODED_SLASH = "\0"
"""Stands for %2F while a path is routed; a NUL of the caller's own does not get that far."""

READERS = "/api/v1/users/"

ANSWER_SECONDS = 8.0
"""Until an answer begins; less than BentoML's limit, which answers without any of this."""

BEGAN = "began"
"""In a request's state: when it did, of `perf_counter`, where something was tried before."""

MAX_IN_FLIGHT = 512
"""Requests at once; more would only wait, and then not be answered in that time."""

REQUEST_ID = "x-request-id"
_REQUEST_ID = REQUEST_ID.encode()
_SAFE_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_QUIET = frozenset({"/livez", "/readyz", "/metrics"})
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
_POLICY = b"content-security-policy"
_API_HEADERS = (*_HEADERS, (_POLICY, b"default-src 'none'; frame-ancestors 'none'"))
# Swagger UI starts from a script in its page, and writes styles into elements.
_DOCS_POLICY = (
    b"default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
    b"img-src 'self' data:; connect-src 'self'; frame-ancestors 'none'"
)
_DOCS_HEADERS = (*_HEADERS, (_POLICY, _DOCS_POLICY))
_HTTPS_ALONE = (b"strict-transport-security", b"max-age=31536000")
_OURS = frozenset({name for name, _ in (*_API_HEADERS, _HTTPS_ALONE)} | {_REQUEST_ID})
"""What nothing behind the edge has a say in."""
_CACHE = b"cache-control"
API_CACHE, _DOCS_CACHE = (_CACHE, b"no-store"), (_CACHE, b"public, max-age=3600")


class Edge:
    """Request ids, security headers, limits, metrics, one log line a request, the last catch."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._in_flight = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(scope, send)
        _keep_encoded_slashes(scope)
        before = structlog.contextvars.bind_contextvars(request_id=exchange.request_id)
        self._in_flight += 1
        try:
            otherwise = await self._answered(scope, receive, exchange)
            if otherwise is not None and exchange.status is None:
                await otherwise(scope, receive, exchange.send)
        finally:
            self._in_flight -= 1
            exchange.record()
            structlog.contextvars.reset_contextvars(**before)

    async def _answered(
        self, scope: Scope, receive: Receive, exchange: "_Exchange"
    ) -> Response | None:
        """Let the application answer; gives what to answer where it did not."""
        if self._in_flight > MAX_IN_FLIGHT and scope["path"] not in _QUIET:
            return _unavailable(exchange.request_id, "too many requests at once")
        left = exchange.started + ANSWER_SECONDS - time.perf_counter()
        if left <= 0:
            return _late(exchange)
        exchange.deadline = deadline = asyncio.timeout(left)
        try:
            async with deadline:
                await self._app(scope, receive, exchange.send)
        except Exception:  # the edge of the process: nothing of a defect leaves it
            exchange.deadline = None
            exchange.has_failed = True
            if deadline.expired():
                return _late(exchange)
            log.exception("request_failed")
            return internal_problem(exchange.request_id)
        return None


class _Exchange:
    """One request and its answer."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self.status: int | None = None
        self.has_failed = False
        """By a defect, or for want of time."""
        self.deadline: asyncio.Timeout | None = None
        """Until the answer begins, while it is waited for; whoever reads slowly may."""
        _, self.request_id = named(scope)
        self._scope = scope
        self._send = send
        self.started: float = scope["state"].get(BEGAN) or time.perf_counter()

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = int(message["status"])
            if self.deadline is not None:
                self.deadline.reschedule(None)
            message["headers"] = self._headers(message["headers"])
        await self._send(message)

    def _headers(self, given: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        headers = [header for header in given if header[0] not in _OURS]
        if not any(name == _CACHE for name, _ in headers):
            headers.append(_DOCS_CACHE if self._scope["path"].startswith("/docs") else API_CACHE)
        return headers + headers_of(self._scope, self.request_id)

    def record(self) -> None:
        route = getattr(self._scope.get("route"), "path", "unmatched")
        # Without a status the caller hung up before there was an answer: nginx writes 499 too.
        status = self.status or 499
        parts: Components = self._scope["app"].state.components
        record(
            parts, self._scope, self.request_id, route, status, self.started, failed=self.has_failed
        )


def record(
    parts: Components,
    scope: Scope,
    request_id: str,
    route: str,
    status: int,
    started: float,
    *,
    failed: bool = False,
) -> None:
    """
    Count and log a request, and tell of it whoever watches the model.

    Args:
        parts: Of the service.
        scope: Of the request.
        request_id: As the caller was told.
        route: The template of the path.
        status: As it was answered.
        started: When it began, of `perf_counter`.
        failed: By a defect, or for want of time, whatever the status.
    """
    seconds = time.perf_counter() - started
    method = scope["method"] if scope["method"] in _METHODS else "other"
    parts.metrics.requests.labels(route, method, str(status)).inc()
    parts.metrics.latency.labels(route).observe(seconds)
    parts.access_log.note(method, route, status, seconds, request_id, quiet=route in _QUIET)
    failed = failed or status == 500
    if failed or status < 400:  # the rest is nobody's defect
        parts.watch.answered(route, reader_of(scope["path"]), failed=failed)


def headers_of(scope: Scope, request_id: str) -> list[tuple[bytes, bytes]]:
    """What every answer has, whatever is behind the edge."""
    return [*always(scope["path"], scope["scheme"]), (_REQUEST_ID, request_id.encode())]


def always(path: str, scheme: str) -> list[tuple[bytes, bytes]]:
    """The same but for what is of one request alone."""
    headers = [*(_DOCS_HEADERS if path.startswith("/docs") else _API_HEADERS)]
    if scheme == "https":
        headers.append(_HTTPS_ALONE)
    return headers


def reader_of(path: str) -> str | None:
    """The reader whom a path is about; None where it is about nobody."""
    return path.split("/")[4].replace(ENCODED_SLASH, "/") if path.startswith(READERS) else None


def _late(exchange: _Exchange) -> Response:
    exchange.has_failed = True
    log.warning("request_timed_out")
    return _unavailable(exchange.request_id, f"no answer within {ANSWER_SECONDS} s")


def _unavailable(request_id: str, detail: str) -> Response:
    return problem(request_id, 503, detail, headers={"Retry-After": "1"})


def named(scope: Scope) -> tuple[IndexedHeaders, str]:
    """
    A request's headers and its id: the caller's own, if it is fit for a log.

    Both lie in its state from then on.
    """
    headers = IndexedHeaders(scope)
    given = headers.get(REQUEST_ID)
    if not (given and _SAFE_REQUEST_ID.fullmatch(given)):
        given = f"{random.getrandbits(128):032x}"
    scope.setdefault("state", {}).update(request_id=given, headers=headers)
    return headers, given


def _keep_encoded_slashes(scope: Scope) -> None:
    """Let an id that holds a slash, written %2F, stay one segment of the path."""
    raw: bytes = scope.get("raw_path") or b""
    if b"%" in raw:
        scope["path"] = ENCODED_SLASH.join(
            unquote_to_bytes(part).decode("utf-8", "replace").replace("\0", "\ufffd")
            for part in re.split(rb"%2[fF]", raw)
        )
