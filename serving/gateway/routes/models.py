"""Which model answers."""

from fastapi import APIRouter

from serving.gateway.deps import Parts
from serving.gateway.errors import described
from serving.gateway.schemas import CurrentModel

router = APIRouter(prefix="/models", tags=["models"])


@router.get("/current", summary="The model in service", responses=described(503))
async def current(parts: Parts) -> CurrentModel:
    """Version, origin and metrics; and why a newer champion was refused, if one was."""
    model = parts.slot.loaded()
    return CurrentModel.of(parts.model_name, model, parts.slot.last_refusal)
