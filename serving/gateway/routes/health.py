"""For orchestrators and Prometheus; outside /api, unversioned."""

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST

from pipelines.errors import CacheUnavailableError, NoModelError
from serving.bootstrap import Components
from serving.gateway.deps import Parts
from serving.gateway.schemas import Check, Readiness

router = APIRouter(tags=["health"])


@router.get("/livez", summary="Whether the process lives")
async def livez() -> dict[str, str]:
    return {"status": "alive"}


@router.get(
    "/readyz",
    summary="Whether requests can be answered",
    responses={503: {"model": Readiness, "description": "No model in service"}},
)
async def readyz(parts: Parts, response: Response) -> Readiness:
    """
    A model is needed, Redis and the registry are not.

    Without Redis answers are computed, and slower; without the registry the model stays as it is.
    """
    model, redis, registry = _model(parts), await _redis(parts), _registry(parts)
    if not model.ok:
        response.status_code = 503
    status = "unready" if not model.ok else "ready" if redis.ok and registry.ok else "degraded"
    return Readiness(status=status, checks={"model": model, "redis": redis, "registry": registry})


@router.get("/metrics", summary="Metrics for Prometheus", include_in_schema=False)
async def metrics(parts: Parts) -> Response:
    return Response(parts.metrics.render(), media_type=CONTENT_TYPE_LATEST)


def _model(parts: Components) -> Check:
    try:
        return Check(ok=True, detail=f"version {parts.slot.loaded().number}")
    except NoModelError as error:
        return Check(ok=False, detail=str(error))


def _registry(parts: Components) -> Check:
    trouble = parts.slot.trouble
    return Check(ok=trouble is None, detail=trouble or "answers")


async def _redis(parts: Components) -> Check:
    try:
        await parts.cache.ping()
    except CacheUnavailableError as error:
        return Check(ok=False, detail=str(error))
    return Check(ok=True, detail="answers")
