"""What can be asked: the same wishes under the same names, in a query as in a body."""

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, StrictInt, model_validator

from pipelines.models.answers import Read
from pipelines.models.reranking import Filters, Knob, Name, Reranking, Year
from serving.recommending.paging import Page

MAX_LENGTH = 500
MAX_BATCH = 1000
MAX_BATCH_LENGTH = 100

Number = Annotated[StrictInt, Field(ge=-(2**63), lt=2**63)]
BookRef = Annotated[Number | Name, Field(examples=[1302])]
"""An id as the catalogue has it."""
UserRef = Annotated[Number | Annotated[str, Field(max_length=256)], Field(examples=[4213])]
Length = Annotated[int, Field(ge=1, le=MAX_LENGTH, description="The longest list wanted.")]
Names = Annotated[list[Name], Field(max_length=100)]


class Question(BaseModel):
    """An unknown name is refused: misspelt, a filter would silently not filter."""

    model_config = ConfigDict(extra="forbid")


class FilteredQuestion(Question):
    """Which books are wanted."""

    genre: Names = Field([], description="Of any of these genres.", examples=[["fantasy"]])
    language: Names = Field([], description="In any of these: `en`, `English`.", examples=[["en"]])
    author: Names = Field([], description="By any of these.", examples=[["Ursula K. Le Guin"]])
    from_year: Year | None = Field(None, description="Published then or later.", examples=[1960])
    to_year: Year | None = Field(None, description="Published then or before.", examples=[1990])
    min_rating: float | None = Field(
        None,
        allow_inf_nan=False,
        description="The least mean of all ratings, on the scale of the source.",
        examples=[3.5],
    )
    exclude: Annotated[list[BookRef], Field(max_length=1000)] = Field(
        [], description="Not these books; unknown ids are ignored.", examples=[[1302]]
    )
    diversity: Knob = Field(0.0, description="0 is as ranked, 1 the most varied.", examples=[0.3])

    @model_validator(mode="after")
    def _years_in_order(self) -> Self:
        if None not in (self.from_year, self.to_year) and self.from_year > self.to_year:  # type: ignore[operator] # neither is None here
            raise ValueError(f"from_year {self.from_year} is after to_year {self.to_year}")
        return self

    def reranking(self) -> Reranking:
        """The wishes as the models take them."""
        return Reranking(filters=self._filters(), diversity=self.diversity)

    def _filters(self, *, exclude_seen: bool = True) -> Filters:
        return Filters(
            genres=tuple(self.genre),
            languages=tuple(self.language),
            authors=tuple(self.author),
            from_year=self.from_year,
            to_year=self.to_year,
            min_rating=self.min_rating,
            exclude=tuple(map(str, self.exclude)),
            exclude_seen=exclude_seen,
        )


class Paged(Question):
    """A part of a list."""

    n: Length = 10
    cursor: str | None = Field(
        None,
        max_length=200,
        description="`next_cursor` of the page before, with the same question else.",
        examples=[None],
    )

    @property
    def page(self) -> Page:
        return Page(self.n, self.cursor)


class OnePart(Question):
    """Which part of the model is asked."""

    model: Name | None = Field(
        None,
        description="One part of the model alone; `/models/current` names them.",
        examples=["item_knn"],
    )


class TasteQuestion(FilteredQuestion, OnePart):
    """What a reader may wish."""

    explain: bool = Field(False, description="Whether each book says why it is there.")
    include_seen: bool = Field(False, description="Whether books already read may come too.")
    popularity_damping: Knob | None = Field(
        None,
        description="0 suits the reader alone, 1 brings up what is shown least; else as tuned.",
        examples=[0.5],
    )

    def reranking(self) -> Reranking:
        return Reranking(
            model=self.model,
            filters=self._filters(exclude_seen=not self.include_seen),
            diversity=self.diversity,
            popularity_damping=self.popularity_damping,
        )


class ReaderQuery(TasteQuestion, Paged):
    """Of `GET /users/{user_id}/recommendations`."""


class BookRead(Question):
    """A book that somebody has read."""

    book_id: BookRef
    rating: float | None = Field(
        None,
        allow_inf_nan=False,
        description="On the scale of the source; without one the book was liked.",
        examples=[4],
    )

    def read(self) -> Read:
        return Read(str(self.book_id), self.rating)


HISTORY = "What was read, oldest first: objects with a rating, or bare ids of books that were liked"
History = Annotated[list[BookRead | BookRef], Field(max_length=1000)]


def reads(history: list[BookRead | BookRef]) -> list[Read]:
    """A history as the models take it."""
    return [b.read() if isinstance(b, BookRead) else Read(str(b)) for b in history]


class SessionRequest(TasteQuestion, Paged):
    """Of `POST /recommendations`."""

    history: History = Field(
        description=f"{HISTORY}.", examples=[[{"book_id": 1302, "rating": 5}, 17]]
    )


class BatchRequest(TasteQuestion):
    """Of `POST /recommendations/batch`."""

    user_ids: list[UserRef] = Field(min_length=1, max_length=MAX_BATCH, examples=[[4213, 7]])
    n: int = Field(10, ge=1, le=MAX_BATCH_LENGTH, description="The longest lists wanted.")


class RerankRequest(TasteQuestion):
    """Of `POST /recommendations/rerank`."""

    user_id: UserRef | None = Field(
        None, description="For whom; or give a `history`.", examples=[4213]
    )
    history: History | None = Field(
        None, description=f"{HISTORY}; or give a `user_id`.", examples=[None]
    )
    book_ids: list[BookRef] = Field(min_length=1, max_length=1000, examples=[[1302, 17, 4]])
    n: int | None = Field(
        None, ge=1, le=1000, description="The longest list wanted; else all.", examples=[10]
    )
    include_seen: bool = Field(True, description="Whether books already read may come too.")

    @model_validator(mode="after")
    def _for_somebody(self) -> Self:
        if (self.user_id is None) == (self.history is None):
            raise ValueError("say for whom: give either user_id or history")
        return self


class BooksQuery(FilteredQuestion, Paged):
    """Of `GET /books/popular`."""


class TrendingQuery(BooksQuery):
    """Of `GET /books/trending`."""

    days: int = Field(
        30, ge=1, le=3650, description="A liking this much older than the newest counts half of it."
    )


class SearchQuery(BooksQuery):
    """Of `GET /books/search`."""

    q: str = Field(
        min_length=1,
        max_length=2000,
        description="A title, a name, or what the books should be about.",
        examples=["wizard school for girls"],
    )


class SimilarQuery(BooksQuery, OnePart):
    """Of `GET /books/{book_id}/similar`."""

    def reranking(self) -> Reranking:
        return super().reranking().model_copy(update={"model": self.model})


class SimilarRequest(SimilarQuery):
    """Of `POST /books/similar`."""

    book_ids: list[BookRef] = Field(min_length=1, max_length=100, examples=[[1302, 17]])
