"""Readers of a library, one at a time."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from pipelines.storage.tables import FeedbackRow, RatingRow, ReaderRow


@dataclass(frozen=True)
class StoredReader:
    """What is kept of a reader, in numbers."""

    created_at: datetime
    ratings: int
    events: int
    """Of feedback."""


class ReaderRepository:
    """The readers of one library."""

    def __init__(self, session: Session, library: str) -> None:
        self._session = session
        self._library = library

    def add(self, user_id: str) -> bool:
        """Make a reader; False where there is one."""
        made = self._session.execute(
            insert(ReaderRow)
            .values(source=self._library, user_id=user_id)
            .on_conflict_do_nothing()
            .returning(ReaderRow.user_id)
        )
        return made.first() is not None

    def find(self, user_id: str) -> StoredReader | None:
        """A reader, also one of whom only feedback is kept; None for a stranger."""
        row = self._session.get(ReaderRow, (self._library, user_id))
        events, first = self._session.execute(
            select(func.count(), func.min(FeedbackRow.received_at)).where(
                FeedbackRow.source == self._library, FeedbackRow.user_id == user_id
            )
        ).one()
        if row is None and not events:
            return None
        created_at = row.created_at if row is not None else first
        return StoredReader(created_at, self._ratings(user_id), int(events))

    def _ratings(self, user_id: str) -> int:
        counted = select(func.count()).where(
            RatingRow.source == self._library, RatingRow.user_id == user_id
        )
        return int(self._session.execute(counted).scalar_one())
