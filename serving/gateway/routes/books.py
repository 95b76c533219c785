"""The catalogue, and books near a book."""

from fastapi import APIRouter

from serving.gateway.deps import BookId, Length, Parts
from serving.gateway.errors import described
from serving.gateway.schemas import Book, BookList, SimilarBooks

router = APIRouter(prefix="/books", tags=["books"])


@router.get("/popular", summary="Popular books", responses=described(422, 503))
async def popular(parts: Parts, n: Length = 10) -> BookList:
    """What most readers like."""
    return BookList.of(await parts.recommendations.popular(n))


@router.get("/{book_id}/similar", summary="Similar books", responses=described(404, 422, 503))
async def similar(parts: Parts, book_id: BookId, n: Length = 10) -> SimilarBooks:
    """Books near this one, nearest first."""
    answer = await parts.recommendations.similar(book_id, n)
    return SimilarBooks.of(answer, book_id=answer.asked_for)


@router.get("/{book_id}", summary="One book", responses=described(404, 422, 503))
async def book(parts: Parts, book_id: BookId) -> Book:
    """The catalogue's entry."""
    return Book.model_validate(await parts.recommendations.book(book_id))
