"""
Raw tables to clean ones: what can be repaired is, what cannot is set aside with its reason.

Nothing here reads or writes files. Cleaning what is clean changes nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from expectations.evidence import come_again, keys_of
from pipelines.data import repairs
from pipelines.data.authors import AUTHOR
from pipelines.data.book_ids import HOPELESS, UNIFIED, UNVERIFIED, ZEROS_RESTORED, BookIds
from pipelines.data.ids import distinct, like
from pipelines.data.quarantine import Mask, filtered, set_aside, split_off
from pipelines.data.schemas import BOOKS, UNLISTED

EARLIEST_YEAR = -3000
AGES = (5, 110)
TEXT_COLUMNS = ("title", "series", "description")


@dataclass(frozen=True)
class Cleaned:
    """A table of the same schema, the rows set aside, and how many cells each rule changed."""

    table: pa.Table
    quarantine: pa.Table
    repairs: dict[str, int]
    doubts: dict[str, int] = field(default_factory=dict)
    """Cells kept as they are though a rule has something to say about them."""


def clean_books(
    books: pa.Table, *, ids: BookIds | None = None, latest_year: int | None = None
) -> Cleaned:
    """
    Repair every value that can be repaired; of books with the same id the last one stays.

    Args:
        books: Schema BOOKS; lists may be null and come out empty.
        ids: What becomes of each id; None where they are not to be touched.
        latest_year: Later years become null; next year if not given.
    """
    unified, checks = _with_unified_ids(books, ids)
    checks["duplicate_book_id"] = _duplicated(unified["book_id"])
    kept, quarantine = split_off(unified, "books", checks, originals=books)
    counts, doubts = _id_counts(kept, books, ids)
    cleaned: dict[str, Sequence[object] | pa.Array] = {
        name: repairs.texts(kept[name], counts) for name in TEXT_COLUMNS
    }
    cleaned["title"] = repairs.titles(cleaned["title"], kept["book_id"], counts)
    cleaned["authors"] = repairs.text_lists(kept["authors"], counts, AUTHOR)
    cleaned["genres"] = repairs.text_lists(kept["genres"], counts)
    latest = latest_year or datetime.now(UTC).year + 1
    years = (EARLIEST_YEAR, latest)
    cleaned["year"] = repairs.numbers(kept["year"], years, counts, "year_out_of_range", but=0)
    cleaned["language"] = repairs.languages(kept["language"], counts)
    cleaned["isbn13"] = repairs.isbns(kept["isbn13"], counts)
    return Cleaned(_replaced(kept, cleaned), quarantine, _positive(counts), doubts)


def clean_ratings(
    ratings: pa.Table,
    *,
    books: pa.Table | None,
    scale: tuple[float, float] | None,
    ids: BookIds | None = None,
    aside: Mask | None = None,
) -> Cleaned:
    """
    Set aside what cannot be trained on; of ratings for the same pair the last one stays.

    "Last" is by `rated_at`, an unknown time counting as the earliest, then by row.

    Args:
        ratings: Schema RAW_RATINGS, or the same with integer ids.
        books: The clean catalogue that every rating must refer to; None for any book.
        scale: Lowest and highest rating allowed; None for any.
        ids: What becomes of each id; None where they are not to be touched.
        aside: Rows that were set aside before, and are nothing but dropped.
    """
    unified, checks = _with_unified_ids(ratings, ids)
    if scale is not None:
        checks["rating_out_of_scale"] = _outside(unified["rating"], scale)
    if books is not None:
        checks["unknown_book"] = ~_known(unified["book_id"], books)
    gone = np.zeros(len(unified), bool) if aside is None else aside
    usable = ~np.any([gone, *checks.values()], axis=0)
    checks["duplicate_pair"] = superseded(unified, usable)
    checks = {rule: mask & ~gone for rule, mask in checks.items()}
    quarantine = set_aside(unified, "ratings", checks, originals=ratings)
    # At once, because a copy of all columns takes longer than all the checks.
    table = filtered(unified, ~np.any([gone, *checks.values()], axis=0))
    counts, doubts = _id_counts(table, ratings, ids)
    return Cleaned(table, quarantine, _positive(counts), doubts)


def clean_readers(readers: pa.Table) -> Cleaned:
    """
    What is known of readers, without impossible ages; of rows with the same id the last one stays.

    Args:
        readers: Schema READERS.
    """
    checks = {"duplicate_user_id": _duplicated(readers["user_id"])}
    kept, quarantine = split_off(readers, "readers", checks)
    counts = repairs.Counts()
    cleaned = {
        "location": repairs.locations(kept["location"], counts),
        "age": repairs.numbers(kept["age"], AGES, counts, "age_out_of_range"),
    }
    return Cleaned(_replaced(kept, cleaned), quarantine, _positive(counts))


def catalogue_from(ratings: pa.Table, *, first_row: int = 1) -> pa.Table:
    """A catalogue where none was given: the books of `ratings`, titled "Book <id>"."""
    ids = distinct(ratings["book_id"])
    n = len(ids)
    columns = {
        "book_id": ids,
        "title": pc.binary_join_element_wise(UNLISTED, ids.cast(pa.string()), " "),
        "authors": pa.array([[]] * n, BOOKS.field("authors").type),
        "genres": pa.array([[]] * n, BOOKS.field("genres").type),
        "row": pa.array(range(first_row, first_row + n), pa.int64()),
    }
    schema = BOOKS.set(0, pa.field("book_id", ids.type))
    return pa.table([columns.get(f.name, pa.nulls(n, f.type)) for f in schema], schema)


def completed(books: pa.Table, ratings: pa.Table) -> pa.Table:
    """The catalogue, and behind it the rated books that it lacks, titled "Book <id>"."""
    unknown = ratings.select(["book_id"]).filter(pa.array(~_known(ratings["book_id"], books)))
    behind = (pc.max(books["row"]).as_py() or 0) + 1
    lacking = catalogue_from(unknown, first_row=behind)
    return pa.concat_tables([books, lacking])


def superseded(ratings: pa.Table, usable: Mask | None = None) -> Mask:
    """Which (usable) ratings are not the last (usable) one of their (reader, book) pair."""
    pairs = keys_of([ratings["user_id"], ratings["book_id"]])
    again = come_again(pairs)
    repeated = np.flatnonzero(again if usable is None else again & usable)
    some = ratings.select(["rated_at", "row"]).take(repeated)
    earliest = np.iinfo(np.int64).min
    times = some["rated_at"].cast(pa.int64()).fill_null(earliest).to_numpy()
    order = np.lexsort((some["row"].to_numpy(), times, pairs[repeated]))
    ordered = pairs[repeated][order]
    mask = np.zeros(len(ratings), bool)
    mask[repeated[order]] = np.append(ordered[1:] == ordered[:-1], [False] * bool(len(ordered)))
    return mask


def as_found(table: pa.Table, raw: pa.Table) -> pa.Table:
    """The rows of `raw` that became those of `table`."""
    return raw.take(pc.index_in(table["row"].combine_chunks(), raw["row"].combine_chunks()))


def _with_unified_ids(table: pa.Table, ids: BookIds | None) -> tuple[pa.Table, dict[str, Mask]]:
    """The table with its ids unified, and which of them are hopeless."""
    if ids is None:
        return table, {}
    unified = ids.unify(table["book_id"])
    column = like(unified.column, table.schema.field("book_id").type)
    return _replaced(table, {"book_id": column}), {HOPELESS: unified.hopeless}


def _id_counts(
    kept: pa.Table, raw: pa.Table, ids: BookIds | None
) -> tuple[repairs.Counts, dict[str, int]]:
    """How many ids of the rows kept were changed by each rule, and how many are doubtful."""
    if ids is None:
        return repairs.Counts(), {}
    told = ids.counted(as_found(kept, raw.select(["book_id", "row"]))["book_id"])
    changed = repairs.Counts({rule: told[rule] for rule in (ZEROS_RESTORED, UNIFIED)})
    return changed, _positive({UNVERIFIED: told[UNVERIFIED]})


def _known(ids: pa.ChunkedArray, books: pa.Table) -> Mask:
    """Which ids the catalogue lists."""
    encoded = ids.combine_chunks().dictionary_encode()
    known = pc.is_in(encoded.dictionary, value_set=books["book_id"].combine_chunks())
    return np.append(known, False)[encoded.indices.fill_null(len(known))]


def _duplicated(ids: pa.ChunkedArray) -> Mask:
    """Which ids come again further down."""
    return np.asarray(pd.Series(_codes(ids)).duplicated(keep="last"))


def _codes(ids: pa.ChunkedArray) -> npt.NDArray[np.int64]:
    """-1 for null."""
    indices = ids.combine_chunks().dictionary_encode().indices
    return indices.fill_null(-1).to_numpy().astype(np.int64)


def _outside(ratings: pa.ChunkedArray, scale: tuple[float, float]) -> Mask:
    outside = pc.or_(pc.less(ratings, scale[0]), pc.greater(ratings, scale[1]))
    return np.asarray(pc.fill_null(outside, False))


def _positive(counts: Mapping[str, int]) -> dict[str, int]:
    return {rule: n for rule, n in counts.items() if n}


def _replaced(table: pa.Table, columns: Mapping[str, Sequence[object] | pa.Array]) -> pa.Table:
    for name, values in columns.items():
        at = table.schema.get_field_index(name)
        field_ = table.schema.field(at)
        table = table.set_column(at, field_, pa.array(values, field_.type))
    return table
