"""What a reader might like."""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from serving.gateway.deps import Caller, Parts, UserId, allowed, speak_for
from serving.gateway.errors import described
from serving.gateway.requests import (
    BatchRequest,
    ReaderQuery,
    RerankRequest,
    SessionRequest,
    reads,
)
from serving.gateway.schemas import ReadersList, ReadersLists, SessionList

router = APIRouter(tags=["recommendations"])


@router.get(
    "/users/{user_id}/recommendations",
    summary="Books for a reader",
    response_model=ReadersList,
    responses=described(409, 410, 422, 503),
)
async def recommend(
    parts: Parts, user_id: UserId, wishes: Annotated[ReaderQuery, Query()]
) -> Response:
    """Unread books, best first; for an unknown reader popular ones, with source `fallback`."""
    answer = await parts.recommendations.recommend(
        user_id,
        wishes.page,
        explain=wishes.explain and parts.flags.is_on("explanations"),
        reranking=allowed(parts, wishes.reranking()),
    )
    return Response(ReadersList.json_of(answer), media_type="application/json")


@router.post(
    "/recommendations",
    summary="Books for a history",
    responses=described(400, 409, 410, 422, 503),
)
async def recommend_for(parts: Parts, wishes: SessionRequest) -> SessionList:
    """Books for somebody who read these, whoever they are: nothing of it is kept."""
    answer = await parts.recommendations.recommend_for(
        reads(wishes.history),
        wishes.page,
        explain=wishes.explain and parts.flags.is_on("explanations"),
        reranking=allowed(parts, wishes.reranking()),
    )
    return SessionList.of(answer, unknown=answer.unknown)


@router.post(
    "/recommendations/batch",
    summary="Books for many readers",
    response_model=ReadersLists,
    responses=described(400, 409, 422, 503),
)
async def batch(parts: Parts, wishes: BatchRequest) -> Response:
    """A list for each reader, in the order asked; far cheaper than asking for one after another."""
    answers = await parts.recommendations.recommend_to_many(
        [str(user_id) for user_id in wishes.user_ids],
        wishes.n,
        explain=wishes.explain and parts.flags.is_on("explanations"),
        reranking=allowed(parts, wishes.reranking()),
    )
    return Response(await ReadersLists.json_of(answers), media_type="application/json")


@router.post(
    "/recommendations/rerank",
    summary="Some books in a reader's order",
    responses=described(400, 403, 409, 422, 503),
)
async def rerank(parts: Parts, caller: Caller, wishes: RerankRequest) -> SessionList:
    """The given books, those that suit the reader best first; `unknown` ones are left out."""
    if wishes.user_id is not None:
        speak_for(caller, [str(wishes.user_id)])
    answer = await parts.recommendations.rerank(
        str(wishes.user_id) if wishes.history is None else reads(wishes.history),
        [str(book_id) for book_id in wishes.book_ids],
        wishes.n or len(wishes.book_ids),
        explain=wishes.explain and parts.flags.is_on("explanations"),
        wishes=allowed(parts, wishes.reranking()),
    )
    return SessionList.of(answer, unknown=answer.unknown)
