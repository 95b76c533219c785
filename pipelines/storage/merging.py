"""
Bulk writes: COPY into a temporary table, then one merge.

A row that did not change is left untouched, so the same batch twice writes nothing.
"""

import io
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass

import pandas as pd
from sqlalchemy import text
from sqlalchemy.orm import Session

from pipelines.data.schemas import UNLISTED, UNTITLED
from pipelines.storage.tables import BookRow, EditionRow, RatingRow, ReaderRow

_NULL = "\x01"
"""How COPY writes null: cleaned text holds no control characters, so no title can be mistaken."""

_AT = "coalesce({0}.rated_at, '-infinity'), {0}.position"
NEWER = f"({_AT.format('excluded')}) > ({_AT.format('ratings')})"
"""Of two ratings of a pair the one of later time counts, an unknown time being the earliest; of the
same time the one that was loaded later."""

_LISTS = ("authors", "genres")

Table = type[BookRow] | type[ReaderRow] | type[RatingRow] | type[EditionRow]


@dataclass(frozen=True)
class Merged:
    """How many rows a merge added, and how many it gave other values."""

    added: int
    changed: int


def merge(
    session: Session, table: Table, source: str, frame: pd.DataFrame, *, key: Sequence[str]
) -> Merged:
    """
    Add the rows of a library that are new, and update those that have other values.

    Ratings are numbered as they stand in `frame`, behind all that were loaded before. What a batch
    does not know of a book stays as it was known.
    """
    name, values = table.__tablename__, [c for c in frame.columns if c not in key]
    session.execute(
        text(f"create temp table staged (like {name} including defaults) on commit drop")
    )
    _copy(session, frame.assign(source=source))
    said = {c: _said(table, c) for c in values}
    differs = " or ".join(f"{name}.{c} is distinct from {new}" for c, new in said.items())
    condition = f"({differs})"
    if table is RatingRow:
        values, condition = [*values, "position"], f"({differs}) and {NEWER}"
    update = ", ".join(f"{c} = {said.get(c, f'excluded.{c}')}" for c in [*values, "updated_at"])
    action = f"update set {update} where {condition}" if values else "nothing"
    identity, listed = ", ".join(["source", *key]), ", ".join(["source", *key, *values])
    # A row that was there before carries in xmax the transaction that locked it: this one.
    statement = (
        f"with merged as (insert into {name} ({listed}) select {listed} from staged "  # noqa: S608 - names are ours
        f"order by {identity} on conflict ({identity}) do {action} "
        "returning xmax = 0 as is_new) "
        "select count(*) filter (where is_new), count(*) filter (where not is_new) from merged"
    )
    added, changed = session.execute(text(statement)).one()
    session.execute(text("drop table staged"))
    return Merged(int(added), int(changed))


def _said(table: Table, column: str) -> str:
    """The value that an update writes: the batch's own, or of a book what was known before."""
    if table is not BookRow:
        return f"excluded.{column}"
    if column == "title":
        made_up = ", ".join(f"'{name} ' || excluded.book_id" for name in (UNLISTED, UNTITLED))
        known = f"case when excluded.title in ({made_up}) then null else excluded.title end"
    elif column in _LISTS:
        known = f"nullif(excluded.{column}, '{{}}')"
    else:
        known = f"excluded.{column}"
    return f"coalesce({known}, books.{column})"


def _copy(session: Session, frame: pd.DataFrame) -> None:
    stream = io.StringIO()
    frame.to_csv(stream, index=False, header=False, na_rep=_NULL)
    stream.seek(0)
    columns = ", ".join(frame.columns)
    statement = f"copy staged ({columns}) from stdin with (format csv, null '{_NULL}')"
    with closing(session.connection().connection.cursor()) as cursor:
        cursor.copy_expert(statement, stream)


def array_literal(values: Sequence[str]) -> str:
    """A PostgreSQL array literal, every element quoted."""
    quoted = (v.replace("\\", "\\\\").replace('"', '\\"') for v in values)
    return "{" + ",".join(f'"{v}"' for v in quoted) + "}"
