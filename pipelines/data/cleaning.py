"""
Raw tables to clean ones: what can be repaired is, what cannot is set aside with its reason.

Nothing here reads or writes files. Cleaning what is clean changes nothing.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.data.ids import distinct_readers as readers
from pipelines.data.ids import restore_id_types, restore_ids
from pipelines.data.isbn import normalise_isbn
from pipelines.data.languages import language_code
from pipelines.data.quarantine import Mask, merged, split_off
from pipelines.data.schemas import BOOKS
from pipelines.data.text import clean_list, clean_text

__all__ = [
    "CleanedBooks",
    "CleanedRatings",
    "catalogue_from",
    "clean_books",
    "clean_ratings",
    "readers",
    "restore_id_types",
    "restore_ids",
]

EARLIEST_YEAR = -3000
TEXT_COLUMNS = ("title", "series", "description")
LIST_COLUMNS = ("authors", "genres")


@dataclass(frozen=True)
class CleanedBooks:
    """Books of schema BOOKS, those set aside, and how many values each rule repaired."""

    table: pa.Table
    quarantine: pa.Table
    repairs: dict[str, int]


@dataclass(frozen=True)
class CleanedRatings:
    """Ratings of schema RAW_RATINGS, those set aside, and how many values each rule repaired."""

    table: pa.Table
    quarantine: pa.Table
    repairs: dict[str, int]


def clean_books(books: pa.Table, *, latest_year: int | None = None) -> CleanedBooks:
    """
    Repair every value that can be repaired; of books with the same id the last one stays.

    Args:
        books: Schema BOOKS; lists may be null and come out empty.
        latest_year: Later years become null; next year if not given.
    """
    duplicates = _duplicated(books["book_id"])
    kept, quarantine = split_off(books, "books", {"duplicate_book_id": duplicates})
    repairs: Counter[str] = Counter()
    cleaned: dict[str, Sequence[object]] = {
        name: _texts(kept[name], repairs) for name in TEXT_COLUMNS
    }
    cleaned |= {name: _text_lists(kept[name], repairs) for name in LIST_COLUMNS}
    cleaned["title"] = _titles(cleaned["title"], kept["book_id"], repairs)
    cleaned["year"] = _years(kept["year"], latest_year or datetime.now(UTC).year + 1, repairs)
    cleaned["language"] = _languages(kept["language"], repairs)
    cleaned["isbn13"] = _isbns(kept["isbn13"], repairs)
    table = _replaced(kept, cleaned)
    return CleanedBooks(table, quarantine, {rule: n for rule, n in repairs.items() if n})


def clean_ratings(
    ratings: pa.Table, *, books: pa.Table | None, scale: tuple[float, float] | None
) -> CleanedRatings:
    """
    Set aside what cannot be trained on; of ratings for the same pair the last one stays.

    "Last" is by `rated_at`, an unknown time counting as the earliest, then by row.

    Args:
        ratings: Schema RAW_RATINGS, or the same with integer ids.
        books: The catalogue that every rating must refer to; None for any book.
        scale: Lowest and highest rating allowed; None for any.
    """
    checks: dict[str, Mask] = {}
    if scale is not None:
        checks["rating_out_of_scale"] = _outside(ratings["rating"], scale)
    if books is not None:
        known = pc.is_in(ratings["book_id"], value_set=books["book_id"].combine_chunks())
        checks["unknown_book"] = ~known.to_numpy()
    table, unfit = split_off(ratings, "ratings", checks) if checks else (ratings, None)
    table, repeated = split_off(table, "ratings", {"duplicate_pair": _superseded(table)})
    quarantine = repeated if unfit is None else merged([unfit, repeated])
    return CleanedRatings(table, quarantine, {})


def catalogue_from(ratings: pa.Table) -> pa.Table:
    """A catalogue where none was given: the books of `ratings`, titled "Book <id>"."""
    ids = pc.unique(ratings["book_id"])
    n = len(ids)
    columns = {
        "book_id": ids,
        "title": pc.binary_join_element_wise("Book", ids.cast(pa.string()), " "),
        "authors": pa.array([[]] * n, BOOKS.field("authors").type),
        "genres": pa.array([[]] * n, BOOKS.field("genres").type),
        "row": pa.array(range(1, n + 1), pa.int64()),
    }
    schema = BOOKS.set(0, pa.field("book_id", ids.type))
    return pa.table([columns.get(f.name, pa.nulls(n, f.type)) for f in schema], schema)


def _duplicated(ids: pa.ChunkedArray) -> Mask:
    """Which ids come again further down."""
    return np.asarray(pd.Series(_codes(ids)).duplicated(keep="last"))


def _superseded(ratings: pa.Table) -> Mask:
    """Which ratings are not the last of their (reader, book) pair."""
    readers_, books_ = (_codes(ratings[name]) for name in ("user_id", "book_id"))
    pairs = readers_ * (books_.max(initial=0) + 1) + books_
    repeated = np.flatnonzero(pd.Series(pairs).duplicated(keep=False))
    some = ratings.select(["rated_at", "row"]).take(repeated)
    earliest = np.iinfo(np.int64).min
    times = some["rated_at"].cast(pa.int64()).fill_null(earliest).to_numpy()
    order = np.lexsort((some["row"].to_numpy(), times, pairs[repeated]))
    ordered = pairs[repeated][order]
    mask = np.zeros(len(ratings), bool)
    mask[repeated[order]] = np.append(ordered[1:] == ordered[:-1], [False] * bool(len(ordered)))
    return mask


def _codes(ids: pa.ChunkedArray) -> npt.NDArray[np.int64]:
    return ids.combine_chunks().dictionary_encode().indices.to_numpy().astype(np.int64)


def _outside(ratings: pa.ChunkedArray, scale: tuple[float, float]) -> Mask:
    numbers = ratings.to_numpy()  # null is NaN, which lies outside of nothing
    return (numbers < scale[0]) | (numbers > scale[1])


def _texts(column: pa.ChunkedArray, repairs: Counter[str]) -> list[str | None]:
    found = column.to_pylist()
    cleaned = [clean_text(text) for text in found]
    repairs["text_cleaned"] += _differences(found, cleaned)
    return cleaned


def _text_lists(column: pa.ChunkedArray, repairs: Counter[str]) -> list[list[str]]:
    found = [texts or [] for texts in column.to_pylist()]
    cleaned = [clean_list(texts) for texts in found]
    repairs["text_cleaned"] += _differences(found, cleaned)
    return cleaned


def _titles(
    titles: Sequence[object], ids: pa.ChunkedArray, repairs: Counter[str]
) -> Sequence[object]:
    named = [
        title or clean_text(f"Untitled book {book_id}")
        for title, book_id in zip(titles, ids.to_pylist(), strict=True)
    ]
    repairs["title_missing"] += _differences(titles, named)
    return named


def _years(column: pa.ChunkedArray, latest: int, repairs: Counter[str]) -> list[int | None]:
    found = column.to_pylist()
    cleaned = [y if y is not None and EARLIEST_YEAR <= y <= latest else None for y in found]
    repairs["year_out_of_range"] += _differences(found, cleaned)
    return cleaned


def _languages(column: pa.ChunkedArray, repairs: Counter[str]) -> list[str | None]:
    found = column.to_pylist()
    cleaned = [language_code(text) if (text := clean_text(raw)) else None for raw in found]
    repairs["language_normalised"] += _differences(found, cleaned)
    return cleaned


def _isbns(column: pa.ChunkedArray, repairs: Counter[str]) -> list[str | None]:
    found = column.to_pylist()
    cleaned = [normalise_isbn(text) if text else None for text in found]
    repairs["isbn_invalid"] += sum(1 for f, c in zip(found, cleaned, strict=True) if f and not c)
    repairs["isbn_repaired"] += sum(1 for f, c in zip(found, cleaned, strict=True) if c and f != c)
    return cleaned


def _differences(before: Iterable[object], after: Iterable[object]) -> int:
    return sum(1 for old, new in zip(before, after, strict=True) if old != new)


def _replaced(table: pa.Table, columns: Mapping[str, Sequence[object]]) -> pa.Table:
    for name, values in columns.items():
        at = table.schema.get_field_index(name)
        field = table.schema.field(at)
        table = table.set_column(at, field, pa.array(values, field.type))
    return table
