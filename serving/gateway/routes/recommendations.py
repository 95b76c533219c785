"""What a reader might like."""

from dataclasses import replace

from fastapi import APIRouter

from serving.gateway.deps import Length, Parts, UserId
from serving.gateway.errors import described
from serving.gateway.schemas import ReadersList

router = APIRouter(tags=["recommendations"])


@router.get(
    "/users/{user_id}/recommendations",
    summary="Books for a reader",
    responses=described(422, 503),
)
async def recommend(parts: Parts, user_id: UserId, n: Length = 10) -> ReadersList:
    """Unread books, best first; for an unknown reader popular ones, with source `fallback`."""
    answer = await parts.recommendations.recommend(user_id, n)
    parts.metrics.recommendations.labels(answer.source).inc()
    if not parts.flags.is_on("explanations"):
        answer = replace(answer, items=tuple(replace(i, reasons=()) for i in answer.items))
    return ReadersList.of(answer, user_id=answer.asked_for)
