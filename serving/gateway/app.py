"""The HTTP face of the service, with no knowledge of what runs it."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import APIRouter, Depends, FastAPI
from fastapi_offline import FastAPIOffline
from starlette.responses import RedirectResponse

from serving.bootstrap import Components
from serving.gateway import errors
from serving.gateway.at_hand import AtHand
from serving.gateway.contract import complete_contract
from serving.gateway.cross_origin import CrossOrigin
from serving.gateway.deps import authorize
from serving.gateway.edge import Edge
from serving.gateway.guard import Guard
from serving.gateway.protocol import AT_HAND, Answering
from serving.gateway.remembering import Remembering
from serving.gateway.routes import (
    accounts,
    admin,
    auth,
    books,
    feedback,
    health,
    models,
    readers,
    recommendations,
    sessions,
    webhooks,
)
from serving.gateway.short_way import ShortWay

_DESCRIPTION = """
Books for readers, from the model that the pipeline promoted last.

Ids are taken and given as they stand in the catalogue. Errors are problem documents (RFC 9457).
"""


def create_app(compose: Callable[[], Components]) -> FastAPI:
    """
    The gateway as an ASGI application.

    Args:
        compose: Makes the parts when the application starts; nothing is built before.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, Answering]]:
        app.state.components = parts = compose()
        async with parts.running():
            yield {AT_HAND: AtHand(parts)}

    # FastAPI's own page loads Swagger UI from another company's servers; this one brings it along.
    app = FastAPIOffline(
        redoc_url=None,
        static_url="/docs/assets",
        title="Bookrec",
        version=version("book-recommender"),
        description=_DESCRIPTION,
        lifespan=lifespan,
        # A redirect is of no use to a caller whose id holds an encoded slash.
        redirect_slashes=False,
        dependencies=[Depends(authorize)],
    )
    errors.install(app)
    app.add_middleware(Remembering)
    app.add_middleware(Guard)
    app.add_middleware(CrossOrigin)
    app.add_middleware(Edge)
    app.add_middleware(ShortWay)
    app.include_router(_api(), prefix="/api/v1")
    app.include_router(health.router)
    app.add_api_route("/", _to_docs, include_in_schema=False)
    complete_contract(app)
    return app


def _api() -> APIRouter:
    api = APIRouter()
    for part in (
        auth,
        recommendations,
        sessions,
        feedback,
        readers,
        books,
        models,
        admin,
        accounts,
        webhooks,
    ):
        api.include_router(part.router)
    return api


async def _to_docs() -> RedirectResponse:
    return RedirectResponse("/docs")
