"""How callers tell what readers did."""

from datetime import datetime
from typing import Annotated, Self
from uuid import UUID

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from pipelines.models.answers import Read
from pipelines.storage.feedback import Kind
from serving.gateway.requests import BookRef, Question, UserRef

MOST_EVENTS = 1_000


def _storable(value: int | str) -> int | str:
    if isinstance(value, str) and ("\0" in value or not value.strip()):
        raise ValueError("an id has no NUL, and something besides blanks")
    return value


class _BookEvent(Question):
    book_id: Annotated[BookRef, AfterValidator(_storable)]
    kind: Kind
    rating: float | None = Field(
        None,
        allow_inf_nan=False,
        description="Of a `rating`, on the scale of the library.",
        examples=[5],
    )

    @model_validator(mode="after")
    def _rated(self) -> Self:
        if (self.kind is Kind.RATING) != (self.rating is not None):
            raise ValueError("a rating has a `rating`, and nothing else has")
        return self


class ReportedEvent(_BookEvent):
    """One thing that a reader did with a book."""

    user_id: Annotated[UserRef, AfterValidator(_storable)]
    kind: Kind = Field(
        description="`rating` and `read` say what is liked; a `dismissal` keeps a book away; a "
        "`click` only counts.",
        examples=["rating"],
    )
    occurred_at: AwareDatetime | None = Field(
        None, description="With its time zone; now, if left out.", examples=["2026-03-01T18:30:00Z"]
    )
    recommendation_id: UUID | None = Field(
        None,
        description="The answer that brought it about.",
        examples=["0b8f6f5e-6a0f-4b1e-9a53-0d5f2f6f4c11"],
    )


class FeedbackReport(Question):
    """What some readers did, in any order."""

    events: list[ReportedEvent] = Field(min_length=1, max_length=MOST_EVENTS)


class FeedbackReceipt(BaseModel):
    """What became of it."""

    model_config = ConfigDict(from_attributes=True)

    accepted: int = Field(examples=[2])
    repeated: int = Field(description="Told before under the same key.", examples=[0])
    unknown_books: tuple[str, ...] = Field(
        description="Not in the model in service; kept for the next one.", examples=[[]]
    )


class VisitEvent(_BookEvent):
    """One thing that a visitor without an account did with a book."""

    kind: Kind = Field(
        Kind.CLICK,
        description="Of a visitor so little is known that a `click`, a look at a book, says what "
        "is liked, as a `read` does; a `dismissal` keeps a book away.",
        examples=["click"],
    )

    def read(self) -> Read:
        """As the models take it."""
        return Read(str(self.book_id), self.rating, self.kind is Kind.DISMISSAL)


class VisitReport(Question):
    """What a visitor did, oldest first."""

    events: list[VisitEvent] = Field(min_length=1, max_length=MOST_EVENTS)


class VisitReceipt(BaseModel):
    """What became of it."""

    unknown: tuple[str, ...] = Field(
        description="Not in the catalogue, and not remembered.", examples=[["17"]]
    )


class NewSession(BaseModel):
    """A browsing session, whose token is shown this once."""

    token: str = Field(
        description="For the header `X-Session`: whoever has it has the session.",
        examples=["kq0TqB3xV5a1c8Zr…"],
    )
    session: str = Field(
        description="Its name, by which an administrator may end it; opens nothing.",
        examples=["9f86d081884c7d659a2feaa0c55ad015"],
    )
    expires_in: int = Field(description="Seconds after its last use.", examples=[7200])


class ReaderReport(BaseModel):
    """What is known of a reader."""

    user_id: str = Field(examples=["4213"])
    created_at: datetime | None = Field(
        description="Null for one whom only the model knows.", examples=["2026-03-01T18:30:00Z"]
    )
    ratings: int = Field(description="In the library.", examples=[57])
    events: int = Field(description="Of feedback.", examples=[3])
    in_model: bool = Field(description="Whether the model in service knows them.", examples=[True])
    books_met: int = Field(description="By the model in service.", examples=[57])
    books_liked: int = Field(examples=[41])


class ErasureReport(BaseModel):
    """How far an erasure is."""

    finished: bool = Field(examples=[True])
    removed: dict[str, int] = Field(
        description="How much of each kind.", examples=[{"ratings": 57, "models": 2}]
    )
    problems: tuple[str, ...] = Field(description="What is not done yet.", examples=[[]])
