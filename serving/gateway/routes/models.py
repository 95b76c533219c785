"""Which model answers, and which others there are."""

from typing import Annotated

from fastapi import APIRouter, Path

from serving.gateway.deps import Parts
from serving.gateway.errors import described
from serving.gateway.release_schemas import VersionReport, VersionSummary
from serving.gateway.schemas import CurrentModel

router = APIRouter(prefix="/models", tags=["models"])


@router.get("/current", summary="The model in service", responses=described(503))
async def current(parts: Parts) -> CurrentModel:
    """Version, origin and metrics; and why a newer champion was refused, if one was."""
    model = parts.slot.loaded()
    return CurrentModel.of(parts.model_name, model, parts.slot.last_refusal)


@router.get("", summary="Registered versions", responses=described(503))
async def versions(parts: Parts) -> list[VersionSummary]:
    """Newest first."""
    return [VersionSummary.of(release) for release in await parts.releases.all()]


@router.get("/{version}", summary="One version", responses=described(404, 422, 503))
async def version(
    version: Annotated[int, Path(ge=1, lt=2**31, examples=[2])], parts: Parts
) -> VersionReport:
    """Its numbers, what the gate decided, and how it became or ceased to be champion."""
    return VersionReport.of(await parts.releases.one(version))
