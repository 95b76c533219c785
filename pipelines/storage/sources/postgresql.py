"""Ratings, books and readers from tables or queries of a PostgreSQL."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
from sqlalchemy import Connection, CursorResult, Executable, column, select, table
from sqlalchemy.exc import DBAPIError

from pipelines.data.sources import SourceTables, columns
from pipelines.data.sources.base import Batch
from pipelines.data.sources.raw_file import ChooseColumns, RawBatch, joined
from pipelines.data.sources.tables import books_batch, ratings_batches, readers_batch
from pipelines.errors import SourceError
from pipelines.storage.database import connect, parse_url

BATCH_ROWS = 64 << 10
_PLAIN = (str, int, float, Decimal, date, datetime, list)


class PostgresqlSource:
    """
    What the options name: for each dataset a table, `schema.table`, or a query.

    The password is best left to libpq: PGPASSWORD, ~/.pgpass, or `?passfile=` in the address.
    Columns are found by their usual names, as for interactions.
    """

    name = "postgresql"

    def __init__(
        self, *, ratings: str = "ratings", books: str | None = None, readers: str | None = None
    ) -> None:
        self._ratings, self._books, self._readers = ratings, books, readers

    def read(self, location: str | None) -> SourceTables:
        """
        Read from the database at `location`, in transactions that cannot write.

        Raises:
            SourceError: not reachable, or no such table or column.
            ConfigurationError: no address of a PostgreSQL.
        """
        if location is None:
            raise SourceError(
                "postgresql needs an address: give postgresql://user@host/database, or set "
                "BOOKREC_SOURCE_DATABASE_URL"
            )
        url = parse_url(location)
        keys = {"ratings": ("user_id", "book_id"), "books": ("book_id",), "readers": ("user_id",)}
        aliases = {"ratings": columns.RATINGS, "books": columns.BOOKS, "readers": columns.READERS}

        def rows(dataset: str, wanted: str) -> Iterator[RawBatch]:
            choose = columns.chooser(aliases[dataset], keys[dataset])
            return joined([_read(location, wanted, choose)])

        return SourceTables(
            ratings=ratings_batches(rows("ratings", self._ratings)),
            books=map(books_batch, rows("books", self._books)) if self._books else None,
            readers=map(readers_batch, rows("readers", self._readers)) if self._readers else None,
            label=f"database {url.database} of {url.host or 'this machine'}",
        )


def _read(url: str, wanted: str, choose: ChooseColumns) -> Iterator[RawBatch]:
    """The wanted columns of a table or query: at least one batch, which may be empty."""
    called = " ".join(wanted.split())[:200]
    with reading(url, called) as connection:
        result = _started(connection, wanted)
        header = list(result.keys())
        chosen = choose(called, header)
        found_as = {name: header[at] for name, at in chosen.items()}
        before = 0
        while rows := result.fetchmany(BATCH_ROWS):
            yield _batch(called, rows, chosen, found_as, before)
            before += len(rows)
        if not before:
            yield _batch(called, [], chosen, found_as, 0)


@contextmanager
def reading(url: str, called: str) -> Iterator[Connection]:
    """A transaction that sees one state of the database, cannot write, and streams its rows."""
    engine = connect(url)
    try:
        with engine.connect() as connection:
            yield connection.execution_options(
                isolation_level="REPEATABLE READ",
                postgresql_readonly=True,
                stream_results=True,  # a cursor of the server: rows come as they are asked for
                max_row_buffer=BATCH_ROWS,
                no_parameters=True,  # a percent sign in a query is a percent sign
            )
    except DBAPIError as error:
        reason = next(iter(str(error.orig).splitlines()), type(error).__name__)
        raise SourceError(f"{called} cannot be read from the database: {reason}") from error
    finally:
        engine.dispose()


def numbered_batches(
    url: str, wanted: Executable, schema: pa.Schema, called: str
) -> Iterator[Batch]:
    """
    What one of our own queries gives, as batches of `schema`, whose last column numbers the rows.

    Args:
        url: Of our database.
        wanted: The other columns of `schema`, in order.
        schema: RAW_RATINGS or BOOKS.
        called: What an error says could not be read.
    """
    before = 0
    with reading(url, called) as connection:
        found = connection.execution_options(no_parameters=False).execute(wanted)
        while rows := found.fetchmany(BATCH_ROWS):
            values = [list(column) for column in zip(*rows, strict=True)]
            values.append(list(range(before + 1, before + len(rows) + 1)))
            arrays = [pa.array(v, f.type) for v, f in zip(values, schema, strict=True)]
            before += len(rows)
            yield Batch(pa.Table.from_arrays(arrays, schema=schema))


def _started(connection: Connection, wanted: str) -> CursorResult[Any]:
    if len(wanted.split()) > 1:
        return connection.exec_driver_sql(wanted)
    schema, _, name = wanted.rpartition(".")
    found = table(name, schema=schema or None)
    return connection.execute(select(column("*", is_literal=True)).select_from(found))


def _batch(
    called: str,
    rows: Sequence[Sequence[Any]],
    chosen: dict[str, int],
    found_as: dict[str, str],
    before: int,
) -> RawBatch:
    found = {name: _column([row[at] for row in rows]) for name, at in chosen.items()}
    numbers = np.arange(before + 1, before + len(rows) + 1)
    return RawBatch(path=called, columns=pa.table(found), found_as=found_as, rows=numbers)


def _column(values: Sequence[Any]) -> pa.Array:
    """Typed as the database has it; as text what Arrow has no type for."""
    known = [_plain(value) for value in values]
    try:
        return pa.array(known)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):  # years before 1, huge numbers
        return pa.array([None if value is None else str(value) for value in known], pa.string())


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, _PLAIN):
        return value
    return json.dumps(value) if isinstance(value, dict) else str(value)
