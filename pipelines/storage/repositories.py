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
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from pipelines.storage.tables import BookRow, ModelReleaseRow, RatingRow, ReaderRow

_BOOK_COLUMNS = [
    c.name for c in BookRow.__table__.columns if c.name not in {"source", "updated_at"}
]
_NULL = "\x01"
"""How COPY writes null: cleaned text holds no control characters, so no title can be mistaken."""

_Table = type[BookRow] | type[ReaderRow] | type[RatingRow]


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
    """Books, readers and ratings of one source."""

    def __init__(self, session: Session, source: str) -> None:
        self._session = session
        self._source = source

    def upsert_books(self, books: pd.DataFrame) -> int:
        """
        Add or update books; gives the number of rows that changed.

        Args:
            books: Columns of schema BOOKS but `row`; ids of any type, lists for authors and genres.
        """
        frame = books.assign(
            authors=[_array_literal(v) for v in books["authors"]],
            genres=[_array_literal(v) for v in books["genres"]],
        )
        return self._merge(BookRow, frame[_BOOK_COLUMNS], key=["book_id"])

    def upsert_readers(self, user_ids: Sequence[Any]) -> int:
        """Add readers that are not there yet."""
        return self._merge(ReaderRow, pd.DataFrame({"user_id": user_ids}), key=["user_id"])

    def upsert_ratings(self, ratings: pd.DataFrame) -> int:
        """Add or update ratings (user_id, book_id, rating, rated_at), one row a pair."""
        columns = ["user_id", "book_id", "rating", "rated_at"]
        return self._merge(RatingRow, ratings[columns], key=["user_id", "book_id"])

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

    def _merge(self, table: _Table, frame: pd.DataFrame, *, key: list[str]) -> int:
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
        statement = (
            f"insert into {name} ({listed}) select {listed} from staged "  # noqa: S608 - names are ours
            f"order by {', '.join(key)} on conflict ({', '.join(['source', *key])}) do {action}"
        )
        result = self._session.execute(text(statement))
        self._session.execute(text("drop table staged"))
        return int(result.rowcount)  # type: ignore[attr-defined]

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

    def record(self, release: ModelRelease) -> None:
        """Store a decision; recording the same version again replaces it."""
        values = {
            "model": release.model,
            "version": release.version,
            "run_id": release.run_id,
            "accepted": release.accepted,
            "decision": release.decision,
            "metrics": release.metrics,
            "data_fingerprint": release.data_fingerprint,
        }
        statement = insert(ModelReleaseRow).values(**values)
        self._session.execute(
            statement.on_conflict_do_update(index_elements=["model", "version"], set_=values)
        )

    def all(self, model: str) -> list[ModelRelease]:
        """Every decision about a model."""
        rows = self._session.scalars(
            select(ModelReleaseRow)
            .where(ModelReleaseRow.model == model)
            .order_by(ModelReleaseRow.version.desc())
        )
        return [
            ModelRelease(
                r.model,
                r.version,
                r.run_id,
                r.accepted,
                r.decision,
                r.metrics,
                r.data_fingerprint,
                r.decided_at,
            )
            for r in rows
        ]


def _array_literal(values: Sequence[str]) -> str:
    """A PostgreSQL array literal, every element quoted."""
    quoted = (v.replace("\\", "\\\\").replace('"', '\\"') for v in values)
    return "{" + ",".join(f'"{v}"' for v in quoted) + "}"
