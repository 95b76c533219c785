"""For orchestrators and Prometheus; outside /api, unversioned."""

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST

from pipelines.errors import CacheUnavailableError, NoModelError
from serving.bootstrap import Components
from serving.gateway.deps import Parts
from serving.gateway.schemas import Check, Readiness
from serving.model.ab_test import Trial

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
    A model is needed; Redis, the registry and a model on trial are not.

    Without Redis answers are computed, and slower; without the registry the model stays as it is.
    """
    checks = await _checks(parts)
    if not checks["model"].ok:
        response.status_code = 503
        return Readiness(status="unready", checks=checks)
    is_whole = all(check.ok for check in checks.values())
    return Readiness(status="ready" if is_whole else "degraded", checks=checks)


@router.get("/metrics", summary="Metrics for Prometheus", include_in_schema=False)
async def metrics(parts: Parts) -> Response:
    figures = await parts.figures.read()
    checks = {name: check.ok for name, check in (await _checks(parts)).items()}
    checks["database"] = figures is not None
    return Response(parts.metrics.render(checks, figures), media_type=CONTENT_TYPE_LATEST)


async def _checks(parts: Components) -> dict[str, Check]:
    checks = {"model": _model(parts), "redis": await _redis(parts), "registry": _registry(parts)}
    if parts.trial is not None:
        checks["ab_test"] = _on_trial(parts.trial)
    return checks


def _model(parts: Components) -> Check:
    try:
        return Check(ok=True, detail=f"version {parts.slot.loaded().number}")
    except NoModelError as error:
        return Check(ok=False, detail=str(error))


def _registry(parts: Components) -> Check:
    trouble = parts.slot.trouble
    return Check(ok=trouble is None, detail=trouble or "answers")


def _on_trial(trial: Trial) -> Check:
    """What is on trial; where it cannot be had the champion answers for it."""
    if (trouble := trial.slot.trouble) is not None:
        return Check(ok=False, detail=trouble)
    try:
        return Check(ok=True, detail=f"version {trial.slot.loaded().number}")
    except NoModelError as error:
        return Check(ok=False, detail=str(error))


async def _redis(parts: Components) -> Check:
    try:
        await parts.cache.ping()
    except CacheUnavailableError as error:
        return Check(ok=False, detail=str(error))
    return Check(ok=True, detail="answers")
