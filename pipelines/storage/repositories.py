"""Access to the tables; repositories take a session, hold no rules, and never commit."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pandas as pd
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from pipelines.storage.locks import Lock, take_turns
from pipelines.storage.merging import Merged, Table, array_literal, merge
from pipelines.storage.regrouping import begin_works, move_to_works
from pipelines.storage.tables import BookRow, EditionRow, ModelReleaseRow, RatingRow, ReaderRow

_BOOK_COLUMNS = [
    c.name for c in BookRow.__table__.columns if c.name not in {"source", "updated_at"}
]


@dataclass(frozen=True)
class ModelRelease:
    """The record of one gate decision."""

    model: str
    version: int
    run_id: str
    accepted: bool
    decision: dict[str, Any]
    metrics: dict[str, Any]
    data_fingerprint: str
    decided_at: datetime | None = None

    @property
    def failures(self) -> list[str]:
        """The rules that it broke; all reasons in a record that does not tell them apart."""
        reasons: list[str] = self.decision["reasons"]
        return [reason for reason in reasons if reason.startswith("failed")] or reasons

    @property
    def forced(self) -> dict[str, str] | None:
        """Who made it champion though the gate had not accepted it, why and when."""
        return self.decision.get("forced")


class LibraryRepository:
    """Books, readers, ratings and editions of one library."""

    def __init__(self, session: Session, source: str) -> None:
        self._session = session
        self._source = source

    def upsert_books(self, books: pd.DataFrame) -> Merged:
        """
        Add or update books.

        Args:
            books: Columns of schema BOOKS but `row`; ids of any type, lists for authors and genres.
        """
        frame = books.assign(
            authors=[array_literal(v) for v in books["authors"]],
            genres=[array_literal(v) for v in books["genres"]],
        )
        return self._merge(BookRow, frame[_BOOK_COLUMNS], key=["book_id"])

    def upsert_readers(self, user_ids: Sequence[Any]) -> Merged:
        """Add readers that are not there yet."""
        return self._merge(ReaderRow, pd.DataFrame({"user_id": user_ids}), key=["user_id"])

    def upsert_ratings(self, ratings: pd.DataFrame) -> Merged:
        """
        Add ratings (user_id, book_id, rating, rated_at; one row a pair), or update older ones.

        Their order is kept: what is new or changed stands behind what was there.
        """
        columns = ["user_id", "book_id", "rating", "rated_at"]
        return self._merge(RatingRow, ratings[columns], key=["user_id", "book_id"])

    def regroup(self, editions: pd.DataFrame, works: Sequence[Any]) -> int:
        """
        Add or update other ids of books, and move what is stored under them to their works.

        Args:
            editions: Columns edition_id and book_id, its work; no work among the editions.
            works: The ids of all books of the batch.

        Returns:
            How many ratings moved.
        """
        begin_works(self._session, self._source, [str(work) for work in works])
        self._merge(EditionRow, editions[["edition_id", "book_id"]], key=["edition_id"])
        return move_to_works(self._session, self._source)

    def counts(self) -> dict[str, int]:
        """Rows of each table for this source."""
        return {
            table.__tablename__: int(
                self._session.execute(
                    text(f"select count(*) from {table.__tablename__} where source = :s"),  # noqa: S608 - a constant of ours
                    {"s": self._source},
                ).scalar_one()
            )
            for table in (BookRow, ReaderRow, RatingRow)
        }

    def _merge(self, table: Table, frame: pd.DataFrame, *, key: Sequence[str]) -> Merged:
        return merge(self._session, table, self._source, frame, key=key)


class ReleaseRepository:
    """Gate decisions, newest version first."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def take_turns(self) -> None:
        """Wait until no other transaction decides about models; held until this one ends."""
        take_turns(self._session, Lock.RELEASE)

    def record(self, release: ModelRelease) -> None:
        """Store a decision; there is one for each version, and only force is added to it."""
        columns = ("model", "version", "run_id", "accepted", "decision", "metrics")
        values = {name: getattr(release, name) for name in columns}
        self._session.add(ModelReleaseRow(**values, data_fingerprint=release.data_fingerprint))

    def note_force(self, model: str, version: int, *, who: str, why: str) -> None:
        """Add to a decision, if there is one, that somebody overruled it; the first time counts."""
        row = self._session.get(ModelReleaseRow, (model, version))
        if row is not None and "forced" not in row.decision:
            at = datetime.now(UTC).isoformat(timespec="seconds")
            row.decision = row.decision | {"forced": {"who": who, "why": why, "at": at}}

    def find(self, model: str, version: int) -> ModelRelease | None:
        """The decision about a version; None if there is none yet."""
        row = self._session.get(ModelReleaseRow, (model, version))
        return None if row is None else _release(row)

    def all(self, model: str) -> list[ModelRelease]:
        """Every decision about a model."""
        rows = self._session.scalars(
            select(ModelReleaseRow)
            .where(ModelReleaseRow.model == model)
            .order_by(ModelReleaseRow.version.desc())
        )
        return [_release(row) for row in rows]


def _release(row: ModelReleaseRow) -> ModelRelease:
    return ModelRelease(
        row.model,
        row.version,
        row.run_id,
        row.accepted,
        row.decision,
        row.metrics,
        row.data_fingerprint,
        row.decided_at,
    )
