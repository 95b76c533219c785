"""The catalogue: books near books, for a text, in fashion."""

from typing import Annotated

from fastapi import APIRouter, Query

from serving.gateway.deps import BookId, Parts, allowed
from serving.gateway.errors import described
from serving.gateway.requests import (
    BooksQuery,
    SearchQuery,
    SimilarQuery,
    SimilarRequest,
    TrendingQuery,
)
from serving.gateway.schemas import Book, BookList, Genre, Genres, SimilarBooks, SimilarToSeveral

router = APIRouter(tags=["books"])


@router.get("/books/popular", summary="Popular books", responses=described(409, 410, 422, 503))
async def popular(parts: Parts, wishes: Annotated[BooksQuery, Query()]) -> BookList:
    """What most readers like, of all books or of a genre."""
    return BookList.of(await parts.shelves.popular(wishes.page, allowed(parts, wishes.reranking())))


@router.get("/books/trending", summary="Trending books", responses=described(409, 410, 422, 503))
async def trending(parts: Parts, wishes: Annotated[TrendingQuery, Query()]) -> BookList:
    """
    What readers have liked lately, of all books or of a genre.

    Where it is not known when ratings were given these are popular books, with source `fallback`.
    """
    answer = await parts.shelves.trending(
        wishes.page, wishes.days, allowed(parts, wishes.reranking())
    )
    return BookList.of(answer)


@router.get("/books/search", summary="Books for a text", responses=described(409, 410, 422, 503))
async def search(parts: Parts, wishes: Annotated[SearchQuery, Query()]) -> BookList:
    """Books that fit a text, by its words and its meaning; filters look at the best 500."""
    return BookList.of(
        await parts.shelves.search(wishes.q, wishes.page, allowed(parts, wishes.reranking()))
    )


@router.post(
    "/books/similar",
    summary="Books similar to several",
    responses=described(400, 404, 409, 410, 422, 503),
)
async def similar_to_several(parts: Parts, wishes: SimilarRequest) -> SimilarToSeveral:
    """Books near these in the mean, nearest first; `unknown` ones are ignored."""
    book_ids = [str(book_id) for book_id in wishes.book_ids]
    answer = await parts.shelves.similar(book_ids, wishes.page, allowed(parts, wishes.reranking()))
    return SimilarToSeveral.of(answer, book_ids=wishes.book_ids, unknown=answer.unknown)


@router.get(
    "/books/{book_id}/similar",
    summary="Similar books",
    responses=described(404, 409, 410, 422, 503),
)
async def similar(
    parts: Parts, book_id: BookId, wishes: Annotated[SimilarQuery, Query()]
) -> SimilarBooks:
    """Books near this one, nearest first."""
    answer = await parts.shelves.similar([book_id], wishes.page, allowed(parts, wishes.reranking()))
    return SimilarBooks.of(answer, book_id=answer.asked_for)


@router.get("/books/{book_id}", summary="One book", responses=described(404, 422, 503))
async def book(parts: Parts, book_id: BookId) -> Book:
    """The catalogue's entry."""
    return Book.model_validate(await parts.shelves.book(book_id))


@router.get("/genres", summary="Genres", responses=described(503))
async def genres(parts: Parts) -> Genres:
    """The genres of the catalogue, large ones first; none where it has no genres."""
    sizes = await parts.shelves.genres()
    return Genres(genres=[Genre(name=name, books=books) for name, books in sizes])
