"""A library as PostgreSQL holds it: cleaned, with editions grouped, from all its batches."""

from collections.abc import Iterator
from functools import partial

import pyarrow as pa
from sqlalchemy import ColumnElement, literal, select, union_all

from pipelines.data.schemas import BOOKS, RAW_RATINGS
from pipelines.data.sources.base import Batch, Order, SourceTables
from pipelines.errors import SourceError
from pipelines.storage.loads import LoadRepository
from pipelines.storage.sources.postgresql import numbered_batches
from pipelines.storage.tables import BookRow, EditionRow, LoadRow, RatingRow
from pipelines.storage.unit_of_work import unit_of_work


class LibrarySource:
    """What the loads so far have made of a library; reading it changes nothing."""

    name = "library"

    def __init__(self, *, library: str = "") -> None:
        self._library = library

    def read(self, location: str | None) -> SourceTables:
        """
        Read the library from our database at `location`.

        Ratings are read before books, and those before editions, each as they stand then: what a
        batch that is loaded meanwhile has moved to another work is found there.

        Raises:
            SourceError: nothing was loaded into such a library.
        """
        url = location or ""
        with unit_of_work(url) as session:
            last = LoadRepository(session, self._library).last()
            if last is None:
                known = session.scalars(select(LoadRow.library).distinct().order_by("library"))
                raise SourceError(self._unknown(list(known)))
            catalogue, number = last.catalogue, last.number
        # Where only the order of rows tells of reading, that of loading goes on with it.
        order: Order | None = "row" if catalogue["order"] == "row" else None
        scale = catalogue["rating_scale"]
        return SourceTables(
            ratings=self._batches(url, RatingRow, RAW_RATINGS, "position"),
            books=self._batches(url, BookRow, BOOKS, "book_id"),
            label=f"library {self._library}, up to load {number}",
            order=order,
            rating_scale=(scale[0], scale[1]) if scale else None,
            catalogue_is_complete=catalogue["is_complete"],
            editions=partial(self._editions, url),
        )

    def _unknown(self, known: list[str]) -> str:
        if not self._library:
            return (
                f"library needs a name: give --data NAME, one of {', '.join(known) or 'none yet'}"
            )
        return (
            f"nothing was loaded into a library {self._library!r} yet: there is "
            f"{', '.join(known) or 'none'}; load one with `bookrec load --library {self._library}`"
        )

    def _batches(
        self,
        url: str,
        table: type[RatingRow] | type[BookRow],
        schema: pa.Schema,
        key: str,
    ) -> Iterator[Batch]:
        """Rows by key: the same library gives the same rows in the same order."""
        names = [name for name in schema.names if name != "row"]
        columns: list[ColumnElement[object]] = [table.__table__.c[name] for name in names]
        wanted = select(*columns).where(table.source == literal(self._library))
        ordered = wanted.order_by(table.__table__.c[key])
        return numbered_batches(url, ordered, schema, f"library {self._library}")

    def _editions(self, url: str) -> pa.Table:
        themselves = select(BookRow.book_id, BookRow.book_id).where(BookRow.source == self._library)
        others = select(EditionRow.edition_id, EditionRow.book_id).where(
            EditionRow.source == self._library
        )
        with unit_of_work(url) as session:
            pairs = session.execute(union_all(themselves, others)).all()
        columns = {"edition_id": [p[0] for p in pairs], "work_id": [p[1] for p in pairs]}
        return pa.table({name: pa.array(ids, pa.string()) for name, ids in columns.items()})
