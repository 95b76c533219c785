"""What readers did with books."""

from datetime import UTC, datetime, timedelta
from typing import Annotated
from uuid import UUID, uuid4, uuid5

from fastapi import APIRouter, Header, HTTPException, status

from pipelines.storage.feedback import Event
from serving.gateway.deps import Caller, Parts, speak_for
from serving.gateway.errors import described
from serving.gateway.feedback_schemas import FeedbackReceipt, FeedbackReport, ReportedEvent
from serving.security.principal import Principal

NAMESPACE = UUID("6f0f2d0e-7d0a-5c43-9a39-b1f0c2b0a1de")
"""Of ids that follow from a caller, their key and a place."""
AHEAD = timedelta(minutes=5)
"""How far the clock of a caller may be ahead of ours."""

router = APIRouter(prefix="/feedback", tags=["feedback"])


@router.post(
    "",
    summary="Tell what readers did",
    status_code=status.HTTP_202_ACCEPTED,
    responses=described(400, 403, 422, 503),
)
async def feedback(
    parts: Parts,
    caller: Caller,
    report: FeedbackReport,
    idempotency_key: Annotated[
        str | None,
        Header(
            min_length=1,
            max_length=200,
            pattern=r"^[\x20-\x7e]+$",
            examples=["order-4711"],
            description="The same request again under the same key changes nothing.",
        ),
    ] = None,
) -> FeedbackReceipt:
    """
    Ratings, reads, clicks and dismissals; each reader's very next list knows of them.

    They are kept for the next training. All of a request is kept, or nothing.
    """
    speak_for(caller, [str(event.user_id) for event in report.events])
    now = datetime.now(UTC)
    events = [
        _event(event, now, _event_id(caller, idempotency_key, place))
        for place, event in enumerate(report.events)
    ]
    return FeedbackReceipt.model_validate(await parts.feedback.take(events))


def _event(told: ReportedEvent, now: datetime, event_id: UUID) -> Event:
    at = told.occurred_at or now
    if at > now + AHEAD:
        raise HTTPException(422, f"occurred_at {at.isoformat()} is in the future")
    return Event(
        event_id,
        str(told.user_id),
        str(told.book_id),
        told.kind,
        told.rating,
        min(at, now),
        told.recommendation_id,
    )


def _event_id(caller: Principal, key: str | None, place: int) -> UUID:
    return uuid4() if key is None else uuid5(NAMESPACE, f"{caller.actor}\0{key}\0{place}")
