"""
Access to the tables; repositories take a session, hold no rules, and never commit.

Bulk writes go through COPY into a temporary table and one merge, which leaves rows that did not
change untouched.
"""

import io
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pandas as pd
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from pipelines.storage.tables import BookRow, EditionRow, ModelReleaseRow, RatingRow, ReaderRow

_BOOK_COLUMNS = [
    c.name for c in BookRow.__table__.columns if c.name not in {"source", "updated_at"}
]
_NULL = "\x01"
"""How COPY writes null: cleaned text holds no control characters, so no title can be mistaken."""

_RELEASE_LOCK = 7_204_002
"""Advisory lock: decisions about models are made one after the other."""

_LIBRARY_LOCK = 7_204_003
"""Advisory lock: batches of one library are stored one after the other."""

_Table = type[BookRow] | type[ReaderRow] | type[RatingRow] | type[EditionRow]


@dataclass(frozen=True)
class Merged:
    """How many rows a merge added, and how many it gave other values."""

    added: int
    changed: int


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


class LibraryRepository:
    """Books, readers, ratings and editions of one library."""

    def __init__(self, session: Session, source: str) -> None:
        self._session = session
        self._source = source

    def take_turns(self) -> None:
        """Wait until no other transaction stores into this library; held until this one ends."""
        self._session.execute(
            text("select pg_advisory_xact_lock(:key, hashtext(:library))"),
            {"key": _LIBRARY_LOCK, "library": self._source},
        )

    def upsert_books(self, books: pd.DataFrame) -> Merged:
        """
        Add or update books.

        Args:
            books: Columns of schema BOOKS but `row`; ids of any type, lists for authors and genres.
        """
        frame = books.assign(
            authors=[_array_literal(v) for v in books["authors"]],
            genres=[_array_literal(v) for v in books["genres"]],
        )
        return self._merge(BookRow, frame[_BOOK_COLUMNS], key=["book_id"])

    def upsert_readers(self, user_ids: Sequence[Any]) -> Merged:
        """Add readers that are not there yet."""
        return self._merge(ReaderRow, pd.DataFrame({"user_id": user_ids}), key=["user_id"])

    def upsert_ratings(self, ratings: pd.DataFrame) -> Merged:
        """Add or update ratings (user_id, book_id, rating, rated_at), one row a pair."""
        columns = ["user_id", "book_id", "rating", "rated_at"]
        return self._merge(RatingRow, ratings[columns], key=["user_id", "book_id"])

    def upsert_editions(self, editions: pd.DataFrame) -> Merged:
        """Add or update other ids of books (edition_id, book_id)."""
        return self._merge(EditionRow, editions[["edition_id", "book_id"]], key=["edition_id"])

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

    def _merge(self, table: _Table, frame: pd.DataFrame, *, key: list[str]) -> Merged:
        name, columns = table.__tablename__, list(frame.columns)
        self._session.execute(
            text(f"create temp table staged (like {name} including defaults) on commit drop")
        )
        self._copy(frame.assign(source=self._source))
        values = [c for c in columns if c not in key]
        changed = " or ".join(f"{name}.{c} is distinct from excluded.{c}" for c in values)
        update = ", ".join(f"{c} = excluded.{c}" for c in [*values, "updated_at"])
        action = f"update set {update} where {changed}" if values else "nothing"
        listed = ", ".join(["source", *columns])
        # Sorted, so that two merges at once take their row locks in the same order.
        # A row that was there before carries in xmax the transaction that locked it: this one.
        statement = (
            f"with merged as (insert into {name} ({listed}) select {listed} from staged "  # noqa: S608 - names are ours
            f"order by {', '.join(key)} on conflict ({', '.join(['source', *key])}) do {action} "
            "returning xmax = 0 as is_new) "
            "select count(*) filter (where is_new), count(*) filter (where not is_new) from merged"
        )
        added, changed = self._session.execute(text(statement)).one()
        self._session.execute(text("drop table staged"))
        return Merged(int(added), int(changed))

    def _copy(self, frame: pd.DataFrame) -> None:
        stream = io.StringIO()
        frame.to_csv(stream, index=False, header=False, na_rep=_NULL)
        stream.seek(0)
        columns = ", ".join(frame.columns)
        statement = f"copy staged ({columns}) from stdin with (format csv, null '{_NULL}')"
        with closing(self._session.connection().connection.cursor()) as cursor:
            cursor.copy_expert(statement, stream)


class ReleaseRepository:
    """Gate decisions, newest version first."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def take_turns(self) -> None:
        """Wait until no other transaction decides about models; held until this one ends."""
        self._session.execute(text("select pg_advisory_xact_lock(:key)"), {"key": _RELEASE_LOCK})

    def record(self, release: ModelRelease) -> None:
        """Store a decision; there is one for each version, and it is never changed."""
        columns = ("model", "version", "run_id", "accepted", "decision", "metrics")
        values = {name: getattr(release, name) for name in columns}
        self._session.add(ModelReleaseRow(**values, data_fingerprint=release.data_fingerprint))

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


def _array_literal(values: Sequence[str]) -> str:
    """A PostgreSQL array literal, every element quoted."""
    quoted = (v.replace("\\", "\\\\").replace('"', '\\"') for v in values)
    return "{" + ",".join(f'"{v}"' for v in quoted) + "}"
