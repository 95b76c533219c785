"""What PostgreSQL keeps of one reader: rows in libraries, and traces in profiles of batches."""

from collections import Counter
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from pipelines.data.profiling import Profile
from pipelines.storage.tables import DataProfileRow, FeedbackRow, RatingRow, ReaderRow

_EXAMPLE = ", e.g. "
"""From there on a message about a broken expectation shows a value of a row."""


class ReaderRows:
    """One reader, in any library."""

    def __init__(self, session: Session, user_id: str) -> None:
        self._session = session
        self._user_id = user_id

    def counts(self) -> dict[str, Counter[str]]:
        """By library, how many rows there are of each kind."""
        found: dict[str, Counter[str]] = {}
        for table in (ReaderRow, RatingRow, FeedbackRow):
            rows = self._session.execute(
                select(table.source, func.count())
                .where(table.user_id == self._user_id)
                .group_by(table.source)
            )
            for library, count in rows:
                found.setdefault(library, Counter())[table.__tablename__] = count
        return found

    def remove(self, library: str) -> Counter[str]:
        """Delete all rows in one library; how many, of each kind."""
        removed: Counter[str] = Counter()
        for table in (FeedbackRow, RatingRow, ReaderRow):
            deleted = self._session.execute(
                delete(table).where(table.source == library, table.user_id == self._user_id)
            )
            removed[table.__tablename__] = int(deleted.rowcount)  # type: ignore[attr-defined]
        return removed

    def remove_from_profiles(self, library: str) -> int:
        """
        Take the hash of the id, and examples of rows, out of profiles; how many those were.

        Anybody could make that hash again from the id.
        """
        changed = 0
        for row in self._profiles(library):
            profile, quality = self._without(row.profile), without_examples(row.quality)
            if (profile, quality) != (row.profile, row.quality):
                row.profile, row.quality = profile, quality
                changed += 1
        return changed

    def _profiles(self, library: str) -> list[DataProfileRow]:
        return list(
            self._session.scalars(select(DataProfileRow).where(DataProfileRow.dataset == library))
        )

    def _without(self, recorded: dict[str, Any]) -> dict[str, Any]:
        profile = Profile.model_validate(recorded)
        ids = profile.reader_ids.without(self._user_id)
        if ids == profile.reader_ids:
            return recorded
        return {**recorded, "reader_ids": ids.model_dump(mode="json")}


def without_examples(quality: dict[str, Any]) -> dict[str, Any]:
    """What the gate said, without values of rows."""
    told = {name: quality[name] for name in ("reasons", "warnings") if name in quality}
    shortened = {n: [text.partition(_EXAMPLE)[0] for text in texts] for n, texts in told.items()}
    return quality | shortened
