"""Visitors without an account. Tokens are a header: paths are written to logs on their way."""

from typing import Annotated

from fastapi import APIRouter, Header, HTTPException, Path, Query, status

from serving.gateway.deps import ActOf, Parts, allowed
from serving.gateway.errors import described
from serving.gateway.feedback_schemas import NewSession, VisitReceipt, VisitReport
from serving.gateway.requests import ReaderQuery
from serving.gateway.schemas import SessionList

SessionToken = Annotated[
    str,
    Header(
        alias="X-Session",
        min_length=1,
        max_length=200,
        pattern=r"^[\x21-\x7e]+$",
        description="The `token` that `POST /sessions` gave.",
        examples=["kq0TqB3x…"],
    ),
]

REVOKED = "session.end"
"""What the record calls it."""

router = APIRouter(tags=["sessions"])


@router.post(
    "/sessions",
    summary="Begin a browsing session",
    status_code=status.HTTP_201_CREATED,
    responses=described(503),
)
async def begin(parts: Parts) -> NewSession:
    """For a visitor without an account: what they look at is remembered for a while."""
    token, name = await parts.browsing.begin()
    return NewSession(token=token, session=name, expires_in=parts.browsing.seconds)


@router.post(
    "/sessions/current/events",
    summary="Tell what a visitor looked at",
    responses=described(400, 404, 422, 503),
)
async def remember(parts: Parts, token: SessionToken, told: VisitReport) -> VisitReceipt:
    """Their very next list knows of it. Nothing of it is learnt from."""
    unknown = await parts.browsing.remember(token, [event.read() for event in told.events])
    return VisitReceipt(unknown=unknown)


@router.get(
    "/sessions/current/recommendations",
    summary="Books for a visitor",
    responses=described(404, 409, 410, 422, 503),
)
async def recommend(
    parts: Parts, token: SessionToken, wishes: Annotated[ReaderQuery, Query()]
) -> SessionList:
    """Books that suit what the session knows of; popular ones where that is nothing."""
    answer = await parts.recommendations.recommend_for(
        await parts.browsing.reads(token),
        wishes.page,
        explain=wishes.explain and parts.flags.is_on("explanations"),
        reranking=allowed(parts, wishes.reranking()),
    )
    return SessionList.of(answer, unknown=answer.unknown)


@router.delete(
    "/sessions/current",
    summary="End a browsing session",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=described(422, 503),
)
async def end(parts: Parts, token: SessionToken) -> None:
    """Nothing is left of it; one that has ended may be ended again."""
    await parts.browsing.end(token)


@router.delete(
    "/admin/sessions",
    summary="End all browsing sessions",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=described(503),
)
async def revoke_all(parts: Parts, act_of: ActOf) -> None:
    """Of visitors; those of accounts go on."""
    ended = await parts.browsing.revoke_all()
    await parts.security.accounts.note(act_of(REVOKED, f"visitor:all {ended}"), "done")


@router.delete(
    "/admin/sessions/{session}",
    summary="End a browsing session of somebody",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=described(404, 422, 503),
)
async def revoke(
    session: Annotated[str, Path(max_length=64, examples=["9f86d081884c7d659a2feaa0c55ad015"])],
    parts: Parts,
    act_of: ActOf,
) -> None:
    """By its name, the `session` that its visitor was given with the token."""
    if not await parts.browsing.revoke(session):
        raise HTTPException(404, "there is no session of that name, or it has ended")
    await parts.security.accounts.note(act_of(REVOKED, f"visitor:{session}"), "done")
