"""
The service as BentoML runs it; the only importer of bentoml.

    bentoml serve serving.service:BookRecommender --host 127.0.0.1 --port 8080

BentoML imports this module in the process that starts the workers too, and they wait for it: what
workers alone need is imported when they make their gateway.
"""

import logging
from contextlib import AsyncExitStack
from typing import Any

import bentoml
from starlette.types import ASGIApp, Receive, Scope, Send

from pipelines.errors import ConfigurationError
from pipelines.observability import adopt_library_logs, configure_logging
from pipelines.settings import Settings, get_settings
from serving.model.tracking import tracking_uri
from serving.security.policy import refuse_unsafe

SERVICE = "serving"
"""As its log lines name it."""


def _checked_settings() -> Settings:
    """Checked before there are workers: the command ends with one line, and none is respawned."""
    try:
        settings = get_settings()
        tracking_uri(settings)
        refuse_unsafe(settings)
    except ConfigurationError as error:
        raise SystemExit(f"bookrec: {error}") from None
    return settings


configure_logging(service=SERVICE)
adopt_library_logs("bentoml", "circus", "uvicorn.error", service=SERVICE)
settings = _checked_settings()


class GatewayFirst:
    """
    Hands every request to the gateway, which lives as long as BentoML's own application.

    BentoML's own pages would answer first otherwise: probes without a word of what is wrong, a
    plain-text 404, and an index page that loads scripts from elsewhere. And what it puts around
    every request costs as much as the gateway does.
    """

    def __init__(self, app: ASGIApp) -> None:
        from serving.bootstrap import compose
        from serving.gateway.app import create_app
        from serving.gateway.protocol import speak
        from serving.telemetry.tracing import trace_where_wanted

        speak()
        # BentoML's handler on the root looks to uvicorn like a reader of its access log, for whom
        # it would write each path anew.
        logging.getLogger("uvicorn.access").propagate = False
        self._app = app
        self._gateway = create_app(lambda: compose(get_settings()))
        self._is_traced = trace_where_wanted(self._gateway)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await (self._live if scope["type"] == "lifespan" else self._gateway)(scope, receive, send)

    async def _live(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with AsyncExitStack() as stack:
            try:
                state = await stack.enter_async_context(
                    self._gateway.router.lifespan_context(self._gateway)
                )
            except Exception as error:  # without a word uvicorn would go on without a gateway
                await send({"type": "lifespan.startup.failed", "message": str(error)})
                raise
            if not self._is_traced:  # a trace has a span of each request
                scope["state"].update(state)
            await self._app(scope, receive, send)


class GatewayService(bentoml.Service[Any]):  # type: ignore[misc] # untyped from here
    """A service whose application is the gateway; `service_class` is not in BentoML's manual."""

    def to_asgi(self, is_main: bool = True) -> ASGIApp:
        return GatewayFirst(super().to_asgi(is_main=is_main))


@bentoml.service(
    name="bookrec",
    service_class=GatewayService,
    workers=settings.api.workers,
    # Half of a request's time and a series a path, where the gateway counts by route.
    metrics={"enabled": False},
    logging={"access": {"enabled": False}},
    tracing={"excluded_urls": ".*"},
    # The gateway gives up sooner. Each request leaves a timer behind for this long.
    traffic={"timeout": 10},
    # Requests are computed side by side: a thread pool within each would only get in the way.
    envs=[{"name": name, "value": "1"} for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")],
    endpoints={"livez": "/livez", "readyz": "/readyz"},
)
class BookRecommender:
    """Recommends books from the model that was promoted last."""
