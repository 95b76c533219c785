"""What readers did with books, as the service was told: kept until a load reads it, and after."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from pipelines.errors import RepeatedKeyError
from pipelines.storage.tables import FeedbackRow


class Kind(StrEnum):
    """What a reader can do with a book."""

    RATING = "rating"
    READ = "read"
    CLICK = "click"
    """Looked at it: says too little of a taste to learn from, but whether a list was any good."""
    DISMISSAL = "dismissal"
    """Does not want it: it is never recommended again, and speaks for no taste."""


@dataclass(frozen=True)
class Event:
    """
    One thing that a reader did.

    `event_id` makes it the same event however often it is told; `rating` is there for a rating
    alone, on the scale of the library.
    """

    event_id: UUID
    user_id: str
    book_id: str
    kind: Kind
    rating: float | None
    occurred_at: datetime
    recommendation_id: UUID | None = None

    @property
    def what(self) -> tuple[str, str, str, float | None]:
        """All but when, and in answer to what."""
        return self.user_id, self.book_id, self.kind, self.rating


class FeedbackRepository:
    """The events of one library."""

    def __init__(self, session: Session, library: str) -> None:
        self._session = session
        self._library = library

    def add(self, events: Sequence[Event]) -> set[UUID]:
        """
        Keep events; gives the ids of those that were not there yet.

        Raises:
            RepeatedKeyError: an id stands for something else already.
        """
        rows = [{**vars(event), "source": self._library} for event in events]
        added = set(
            self._session.scalars(
                insert(FeedbackRow)
                .on_conflict_do_nothing(index_elements=["event_id"])
                .returning(FeedbackRow.event_id),
                rows,
            )
        )
        self._refuse_others(event for event in events if event.event_id not in added)
        return added

    def _refuse_others(self, repeated: Iterable[Event]) -> None:
        told = {event.event_id: event.what for event in repeated}
        if not told:
            return
        known = self._session.scalars(select(FeedbackRow).where(FeedbackRow.event_id.in_(told)))
        for row in known:
            if (row.user_id, row.book_id, row.kind, row.rating) != told[row.event_id]:
                raise RepeatedKeyError(
                    "this Idempotency-Key was used for other events: take a new one a request"
                )
