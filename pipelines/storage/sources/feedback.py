"""What readers told the service, as a batch of ratings that a library can take in."""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import ColumnElement, Select, func, literal, select

from pipelines.data.schemas import RAW_RATINGS
from pipelines.data.sources.base import Batch, SourceTables
from pipelines.storage.feedback import Kind
from pipelines.storage.sources.postgresql import numbered_batches
from pipelines.storage.tables import FeedbackRow
from pipelines.storage.unit_of_work import unit_of_work

SAID = (Kind.RATING, Kind.READ)
"""What says something that a rating can say; a `read` is a rating without a number."""


class FeedbackSource:
    """
    All ratings and reads that the service was told of a library's readers.

    What was loaded before changes nothing when it is loaded again. Clicks say too little of a
    taste, and a dismissal is no rating.
    """

    name = "feedback"

    def __init__(self, *, library: str = "") -> None:
        self._library = library

    def read(self, location: str | None) -> SourceTables:
        """Read the feedback from our database at `location`, in the order of arrival."""
        return SourceTables(
            ratings=self._batches(location or ""),
            label=f"feedback on library {self._library}",
            order="timestamp",
        )

    def count(self, location: str) -> int:
        """How many rows `read` would give."""
        with unit_of_work(location) as session:
            return int(session.execute(self._wanted(func.count())).scalar_one())

    def _wanted(self, *columns: ColumnElement[Any]) -> Select[Any]:
        return select(*columns).where(
            FeedbackRow.source == literal(self._library), FeedbackRow.kind.in_(SAID)
        )

    def _batches(self, url: str) -> Iterator[Batch]:
        row = FeedbackRow.__table__.c
        wanted = self._wanted(row.user_id, row.book_id, row.rating, row.occurred_at)
        ordered = wanted.order_by(row.number)
        return numbered_batches(url, ordered, RAW_RATINGS, f"feedback on {self._library}")
