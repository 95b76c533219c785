"""Readers: made, looked at, erased."""

from fastapi import APIRouter, Response, status

from serving.gateway.deps import ActOf, Parts, UserId
from serving.gateway.errors import described
from serving.gateway.feedback_schemas import ErasureReport, ReaderReport

router = APIRouter(prefix="/users", tags=["readers"])


@router.put(
    "/{user_id}",
    summary="Make a reader",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=described(422, 503) | {201: {"description": "There was none before"}},
)
async def make(parts: Parts, user_id: UserId) -> Response:
    """Before anything is known of them; feedback makes readers by itself."""
    made = await parts.readers.add(user_id)
    return Response(status_code=status.HTTP_201_CREATED if made else status.HTTP_204_NO_CONTENT)


@router.get("/{user_id}", summary="A reader", responses=described(404, 422, 503))
async def look(parts: Parts, user_id: UserId) -> ReaderReport:
    """How much is kept of a reader, and how much the model in service has learnt from."""
    found = await parts.readers.find(user_id)
    return ReaderReport(user_id=user_id, **vars(found))


@router.delete(
    "/{user_id}",
    summary="Erase a reader",
    responses=described(404, 422, 503)
    | {202: {"model": ErasureReport, "description": "Under way"}},
)
async def erase(parts: Parts, response: Response, act_of: ActOf, user_id: UserId) -> ErasureReport:
    """
    Removes rows, history in every registered model, data of runs, cached lists and feedback.

    A record without the id stays, by which later batches drop the reader. With 202 it is not
    finished: ask again, until it answers 200.
    """
    erased = await parts.readers.erase(user_id)
    act = act_of("reader.erase", "reader")  # not whom
    await parts.security.accounts.note(act, "done" if erased.finished else "failed")
    if not erased.finished:
        response.status_code = status.HTTP_202_ACCEPTED
    return ErasureReport.model_validate(erased, from_attributes=True)
