"""Pages of other origins that may call from a browser: those that settings name, and no others."""

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

EXPOSED = (
    "X-Request-ID",
    "RateLimit-Limit",
    "RateLimit-Remaining",
    "RateLimit-Reset",
    "Retry-After",
)


class CrossOrigin:
    """
    Starlette's CORS, for named origins; requests of all others are answered as if there were none.

    Nothing is sent along by browsers themselves (there are no cookies), so any header may be sent.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._cors: CORSMiddleware | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        origin = scope["state"]["headers"].get("origin") if scope["type"] == "http" else ""
        if not origin or origin not in (allowed := _allowed(scope)):
            await self._app(scope, receive, send)
            return
        if self._cors is None:
            self._cors = CORSMiddleware(
                self._app,
                allow_origins=allowed,
                allow_methods=["*"],
                allow_headers=["*"],
                expose_headers=EXPOSED,
            )
        await self._cors(scope, receive, send)


def _allowed(scope: Scope) -> tuple[str, ...]:
    allowed: tuple[str, ...] = scope["app"].state.components.security.settings.cors_origins
    return allowed
