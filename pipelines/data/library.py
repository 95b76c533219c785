"""A whole library cleaned: ratings, catalogue, readers, and which edition is of which work."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.data.book_ids import BookIds
from pipelines.data.cleaning import (
    Cleaned,
    as_found,
    catalogue_from,
    clean_books,
    clean_ratings,
    clean_readers,
    completed,
    superseded,
)
from pipelines.data.editions import Works, edition_table, works_of
from pipelines.data.ids import like, plain
from pipelines.data.quarantine import Mask, merged, split_off

MERGED = "editions_merged"
MOVED = "moved_to_work"


@dataclass(frozen=True)
class Rules:
    """What cleaning has to know of the data, and what it is asked to do."""

    scale: tuple[float, float] | None
    """Lowest and highest rating allowed; None for any."""
    book_ids: Literal["isbn", "opaque"] = "opaque"
    catalogue_is_complete: bool = True
    """Else ratings of books that it lacks are kept, and such books titled "Book <id>"."""
    group_editions: bool = True
    work_of: Mapping[str, str] = field(default_factory=dict)
    """Works of editions that were grouped earlier, by id; the works themselves among these."""


@dataclass(frozen=True)
class Library:
    """Clean tables; `cleaned` has the same by name, with quarantine and counts."""

    cleaned: dict[str, Cleaned]
    """ "ratings", and "books" and "readers" where such were given."""
    catalogue: pa.Table
    """Schema BOOKS; every book that may be recommended, one row a work."""
    editions: pa.Table
    """Columns edition_id and work_id."""
    added: int
    """How many rows of the catalogue come from ratings alone."""

    @property
    def ratings(self) -> pa.Table:
        return self.cleaned["ratings"].table

    @property
    def quarantine(self) -> pa.Table:
        return pa.concat_tables(c.quarantine for c in self.cleaned.values())


def clean_library(
    ratings: pa.Table,
    books: pa.Table | None,
    readers: pa.Table | None,
    rules: Rules,
    *,
    aside: Mask | None = None,
) -> Library:
    """
    Clean raw tables of schemas RAW_RATINGS, BOOKS and READERS.

    Every row is kept or set aside, as found, and every changed cell is counted by its rule.

    Args:
        ratings: All of them.
        books: A catalogue, if one was given.
        readers: What is known of readers, if anything is.
        rules: What is known of the data, and asked for.
        aside: Ratings that were set aside before: they are dropped, and decide nothing.
    """
    listed = None if books is None else books["book_id"]
    ids = BookIds.of(listed, _left(ratings, aside)) if rules.book_ids == "isbn" else None
    catalogue = None if books is None else clean_books(books, ids=ids)
    rated = clean_ratings(
        ratings,
        books=_ratable(catalogue, rules),
        scale=rules.scale,
        ids=ids,
        aside=aside,
    )
    if books is None or catalogue is None:
        return _library(rated, catalogue, readers, {}, ids)
    works = works_of(
        catalogue.table, rated.table["book_id"], rules.work_of, anew=rules.group_editions
    )
    if works.work_of:
        rated, catalogue = _on_works(rated, works, ratings), _grouped(catalogue, works, books)
    return _library(rated, catalogue, readers, works.work_of, ids)


def _left(ratings: pa.Table, aside: Mask | None) -> pa.ChunkedArray:
    """The ids of books in ratings that were not set aside before."""
    return ratings["book_id"] if aside is None else ratings["book_id"].filter(pa.array(~aside))


def _ratable(catalogue: Cleaned | None, rules: Rules) -> pa.Table | None:
    """The book_id of every book that a rating may name; None for any."""
    if catalogue is None or not rules.catalogue_is_complete:
        return None
    listed = catalogue.table["book_id"]
    editions = pa.array([*rules.work_of], listed.type)
    return pa.table({"book_id": pa.chunked_array([*listed.chunks, editions])})


def _library(
    ratings: Cleaned,
    books: Cleaned | None,
    readers: pa.Table | None,
    work_of: Mapping[str, str],
    ids: BookIds | None,
) -> Library:
    known = completed(books.table, ratings.table) if books else catalogue_from(ratings.table)
    cleaned = {"ratings": ratings}
    if books is not None:
        cleaned["books"] = books
    if readers is not None:
        cleaned["readers"] = clean_readers(readers)
    editions = edition_table(known, work_of, ids.became if ids else {})
    return Library(cleaned, known, editions, len(known) - (len(books.table) if books else 0))


def _grouped(books: Cleaned, works: Works, raw: pa.Table) -> Cleaned:
    checks = {MERGED: works.given_way}
    _, aside = split_off(books.table, "books", checks, as_found(books.table, raw))
    return Cleaned(works.books, merged([books.quarantine, aside]), books.repairs, books.doubts)


def _on_works(ratings: Cleaned, works: Works, raw: pa.Table) -> Cleaned:
    """Ratings of works; of those for two editions of one the last stays."""
    ids = works.move(ratings.table["book_id"])
    at = ratings.table.schema.get_field_index("book_id")
    field = ratings.table.schema.field(at)
    moved = ratings.table.set_column(at, field, like(ids, field.type))
    repeated = superseded(moved)
    table, aside = split_off(moved, "ratings", {MERGED: repeated}, as_found(moved, raw))
    changed = np.asarray(pc.not_equal(plain(ratings.table["book_id"]), ids)) & ~repeated
    repairs = ratings.repairs | ({MOVED: int(changed.sum())} if changed.any() else {})
    return Cleaned(table, merged([ratings.quarantine, aside]), repairs, ratings.doubts)
