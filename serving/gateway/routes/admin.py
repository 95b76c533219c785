"""What only the pipeline and its operators may ask."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, HTTPException, Query, status

from pipelines.errors import CacheUnavailableError, ReleaseError
from serving.bootstrap import Components
from serving.gateway.cache_schemas import CacheReport, DroppedLists
from serving.gateway.deps import ActOf, Caller, Parts
from serving.gateway.errors import described
from serving.gateway.release_schemas import Move, RollbackWish
from serving.gateway.schemas import WarmReport

LOOK_SECONDS = 5.0
"""How long a request waits for the champion to be looked up, and loaded if it is new."""

router = APIRouter(
    prefix="/admin",
    tags=["admin"],
    responses=described(503),
)


@router.get("/cache", summary="What is kept of answers")
async def kept(parts: Parts) -> CacheReport:
    """In Redis, and in the memory of the worker that answers."""
    return CacheReport.model_validate(await parts.kept.look(), from_attributes=True)


@router.delete("/cache", summary="Drop kept lists", responses=described(422))
async def drop(
    parts: Parts,
    act_of: ActOf,
    user_id: Annotated[
        str | None,
        Query(max_length=256, description="Of this reader alone.", examples=["4213"]),
    ] = None,
) -> DroppedLists:
    """Of all readers, or of one; they are computed again. What readers told lately stays."""
    whose = "all" if user_id is None else "reader"  # not which
    act = act_of("cache.drop", whose)
    try:
        dropped = await parts.kept.drop(user_id)
    except CacheUnavailableError:
        await parts.security.accounts.note(act, "failed")
        raise
    await parts.security.accounts.note(act, "done")
    return DroppedLists(dropped=dropped)


@router.post("/cache/warm", summary="Warm the cache", status_code=status.HTTP_202_ACCEPTED)
async def warm(parts: Parts, act_of: ActOf) -> WarmReport:
    """
    Load the champion if it is new and compute the lists of all its readers.

    Answers at once; a second request while one runs for the same version joins it.
    """
    if not await _is_up_to_date(parts, retry_refused=True):
        raise HTTPException(
            503, "the champion is still being looked up: ask again", {"Retry-After": "5"}
        )
    report = WarmReport.model_validate(await parts.warming.warm())
    act = act_of("cache.warm", f"version:{report.version}")
    await parts.security.accounts.note(act, "done")
    return report


@router.get("/cache/warm", summary="How warm the cache is", responses=described(404))
async def warm_state(parts: Parts) -> WarmReport:
    """The last warm-up of the champion, in whichever worker it ran."""
    # Another worker may have been asked to warm a champion that this one has yet to load.
    await _is_up_to_date(parts)
    state = await parts.warming.state()
    if state is None:
        raise HTTPException(404, "no warm-up of this version was asked for")
    return WarmReport.model_validate(state)


@router.post(
    "/models/rollback",
    summary="Make another version champion",
    responses=described(404, 409, 422),
)
async def rollback(asked: RollbackWish, parts: Parts, caller: Caller, act_of: ActOf) -> Move:
    """
    The one before, or any that passes the checks of a model in service; workers follow at once.

    Whoever gets no answer looks at the history first: it may have been done.
    """
    target = "version:before" if asked.to is None else f"version:{asked.to}"
    act = act_of("model.rollback", target)
    try:
        move = await parts.releases.roll_back(
            asked.to, who=caller.actor, why=asked.reason, force=asked.force
        )
    except ReleaseError:
        await parts.security.accounts.note(act, "failed")
        raise
    await parts.security.accounts.note(act, "done")
    return Move.of(move)


async def _is_up_to_date(parts: Components, *, retry_refused: bool = False) -> bool:
    try:
        async with asyncio.timeout(LOOK_SECONDS):
            await asyncio.wrap_future(parts.slot.look(retry_refused=retry_refused))
    except TimeoutError:
        return False
    return True
