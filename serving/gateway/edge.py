"""
The outermost layer of the gateway: what every request gets, whatever it asks.

Pure ASGI: Starlette's BaseHTTPMiddleware costs more than a whole request does here.
"""

import asyncio
import re
import time
from urllib.parse import unquote_to_bytes
from uuid import uuid4

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.gateway.errors import internal_problem, problem
from serving.metrics import ServingMetrics

log = structlog.get_logger()

ENCODED_SLASH = "\0"
"""Stands for %2F while a path is routed; a NUL of the caller's own does not get that far."""

ANSWER_SECONDS = 8.0
"""Until an answer begins; less than BentoML's limit, which answers without any of this."""

MAX_IN_FLIGHT = 512
"""Requests at once; more would only wait, and then not be answered in that time."""

REQUEST_ID = "x-request-id"
_SAFE_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_QUIET = frozenset({"/livez", "/readyz", "/metrics"})
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_API_POLICY = "default-src 'none'; frame-ancestors 'none'"
# Swagger UI starts from a script in its page, and writes styles into elements.
_DOCS_POLICY = (
    "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; frame-ancestors 'none'"
)


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
        with structlog.contextvars.bound_contextvars(request_id=exchange.request_id):
            self._in_flight += 1
            try:
                otherwise = await self._answered(scope, receive, exchange)
                if otherwise is not None and exchange.status is None:
                    await otherwise(scope, receive, exchange.send)
            finally:
                self._in_flight -= 1
                exchange.record()

    async def _answered(
        self, scope: Scope, receive: Receive, exchange: "_Exchange"
    ) -> Response | None:
        """Let the application answer; gives what to answer where it did not."""
        if self._in_flight > MAX_IN_FLIGHT and scope["path"] not in _QUIET:
            return _unavailable(exchange.request_id, "too many requests at once")
        deadline = asyncio.timeout(ANSWER_SECONDS)

        async def send(message: Message) -> None:
            deadline.reschedule(None)  # whoever reads slowly may
            await exchange.send(message)

        try:
            async with deadline:
                await self._app(scope, receive, send)
        except Exception:  # the edge of the process: nothing of a defect leaves it
            if deadline.expired():
                log.warning("request_timed_out")
                return _unavailable(exchange.request_id, f"no answer within {ANSWER_SECONDS} s")
            log.exception("request_failed")
            return internal_problem(exchange.request_id)
        return None


class _Exchange:
    """One request and its answer."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self.status: int | None = None
        self.request_id = _request_id(scope)
        scope.setdefault("state", {})["request_id"] = self.request_id
        self._scope = scope
        self._send = send
        self._started = time.perf_counter()

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = int(message["status"])
            headers = MutableHeaders(scope=message)
            headers.update(_HEADERS)
            headers[REQUEST_ID] = self.request_id
            if self._scope["scheme"] == "https":
                headers["Strict-Transport-Security"] = "max-age=31536000"
            is_docs = self._scope["path"].startswith("/docs")
            headers["Content-Security-Policy"] = _DOCS_POLICY if is_docs else _API_POLICY
            headers.setdefault("Cache-Control", "public, max-age=3600" if is_docs else "no-store")
        await self._send(message)

    def record(self) -> None:
        seconds = time.perf_counter() - self._started
        route = getattr(self._scope.get("route"), "path", "unmatched")
        method = self._scope["method"] if self._scope["method"] in _METHODS else "other"
        # Without a status the caller hung up before there was an answer: nginx writes 499 too.
        status = self.status or 499
        metrics: ServingMetrics = self._scope["app"].state.components.metrics
        metrics.requests.labels(route, method, str(status)).inc()
        metrics.latency.labels(route).observe(seconds)
        write = log.debug if route in _QUIET else log.info
        write(
            "request_answered",
            method=method,
            route=route,
            status=status,
            milliseconds=round(seconds * 1000, 2),
        )


def _unavailable(request_id: str, detail: str) -> Response:
    return problem(request_id, 503, detail, headers={"Retry-After": "1"})


def _request_id(scope: Scope) -> str:
    given = Headers(scope=scope).get(REQUEST_ID, "")
    return given if _SAFE_REQUEST_ID.fullmatch(given) else uuid4().hex


def _keep_encoded_slashes(scope: Scope) -> None:
    """Let an id that holds a slash, written %2F, stay one segment of the path."""
    raw: bytes = scope.get("raw_path") or b""
    if b"%" in raw:
        scope["path"] = ENCODED_SLASH.join(
            unquote_to_bytes(part).decode("utf-8", "replace").replace("\0", "\ufffd")
            for part in re.split(rb"%2[fF]", raw)
        )
