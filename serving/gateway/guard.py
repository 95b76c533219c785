"""
What stands before the application: which host is meant, who asks, how often, and how much is sent.

Pure ASGI, within the edge. Who asks lies in the request's state as `principal`.
"""

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipelines.errors import BookrecError, GrantError
from serving.gateway.body import BodyError, read_body
from serving.gateway.errors import problem, shown
from serving.security.components import Security
from serving.security.limits import Allowance

PROBES = frozenset({"/livez", "/readyz", "/metrics"})
"""For orchestrators: asked by address, without credentials, and however often."""

COUNTED = "allowance"
"""In a request's state: what was left when it was counted."""


class Guard:
    """Hosts, identity, rate limits, bodies."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in PROBES:
            await self._app(scope, receive, send)
            return
        security: Security = scope["app"].state.components.security
        headers: Headers = scope["state"]["headers"]
        allowance, refusal = await _admitted(scope, headers, security)
        if allowance is not None:
            send = _telling(send, allowance)
        if refusal is None:
            try:
                receive = await read_body(headers, receive, security.settings)
            except BodyError as error:
                refusal = _problem(scope, error.status, str(error), {"Connection": "close"})
        await (refusal or self._app)(scope, receive, send)


async def _admitted(
    scope: Scope, headers: Headers, security: Security
) -> tuple[Allowance | None, Response | None]:
    """What the caller may still ask, if that was counted, and why this request goes no further."""
    if not security.is_trusted(headers.get("host", "")):
        return None, _problem(scope, 400, "this service is not called by that name")
    try:
        principal = await security.authenticator.principal(scope, headers)
    except GrantError as error:
        allowance = await security.count_refusal(scope)
        return allowance, _too_many(scope, allowance) or shown(error, _request_id(scope))
    except BookrecError as error:
        return None, shown(error, _request_id(scope))
    scope["state"]["principal"] = principal
    # The short way may have counted this request, and then not have found an answer.
    allowance = scope["state"].get(COUNTED) or await security.count(principal)
    return allowance, _too_many(scope, allowance)


def _too_many(scope: Scope, allowance: Allowance) -> Response | None:
    if allowance.allowed:
        return None
    window = f"{allowance.limit} in {allowance.window_seconds} s"
    return _problem(scope, 429, f"too many requests: {window} are allowed")


def _telling(send: Send, allowance: Allowance) -> Send:
    async def telling(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = message["headers"]
            # A stricter limit that the application found is the one to tell.
            if not any(name == b"ratelimit-limit" for name, _ in headers):
                message["headers"] = [*headers, *allowance.raw_headers()]
        await send(message)

    return telling


def _problem(
    scope: Scope, status: int, detail: str, headers: dict[str, str] | None = None
) -> Response:
    return problem(_request_id(scope), status, detail, headers=headers)


def _request_id(scope: Scope) -> str:
    return str(scope["state"]["request_id"])
