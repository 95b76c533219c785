"""Raw batches to batches of ratings, books and readers, and what had to be rejected."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial

import pyarrow as pa
import structlog

from pipelines.data.isbn import normalise_isbn
from pipelines.data.schemas import BOOKS, ENCODED_RATINGS, READERS
from pipelines.data.sources import values
from pipelines.data.sources.ahead import read_ahead
from pipelines.data.sources.base import Batch
from pipelines.data.sources.raw_file import RawBatch
from pipelines.errors import SourceError

log = structlog.get_logger()

_LIST_SEPARATORS = (re.compile(r"[;|]"), re.compile(r","))
_MAX_NUMBER = 2**31 - 1
_NULLS = (None, "NULL", "null", r"\N")


def ratings_batches(raws: Iterable[RawBatch]) -> Iterator[Batch]:
    """
    Ratings, from columns user_id, book_id, rating?, timestamp?.

    The unit of epoch numbers is decided by the first batch that has any, and logged.

    Raises:
        SourceError: a typed column cannot mean what its name says.
    """
    unit: values.EpochUnit | None = None
    for raw in read_ahead(raws):
        if unit is None and "timestamp" in raw.columns.column_names:
            unit = values.epoch_unit(raw.columns["timestamp"])
            if unit is not None:
                log.info("epoch_unit_decided", file=str(raw.path), unit=unit)
        yield _ratings(raw, unit or "s")


def _ratings(raw: RawBatch, unit: values.EpochUnit) -> Batch:
    user_ids, book_ids = _ids(raw, "user_id"), _ids(raw, "book_id")
    rated = _read(raw, "rating", values.ratings)
    timed = _read(raw, "timestamp", partial(values.instants, unit=unit))
    table = pa.table([user_ids, book_ids, rated.column, timed.column, raw.rows], ENCODED_RATINGS)
    no_user, odd_user = values.check_ids(user_ids)
    no_book, odd_book = values.check_ids(book_ids)
    checks = {
        "missing_user_id": no_user,
        "missing_book_id": no_book,
        "malformed_id": odd_user | odd_book,
        "rating_not_a_number": rated.unreadable,
        "timestamp_unreadable": timed.unreadable,
    }
    return raw.part(table, "ratings", checks)


def books_batch(raw: RawBatch) -> Batch:
    """
    Books, from columns named as in BOOKS, and isbn; only book_id is needed.

    Raises:
        SourceError: a typed column cannot mean what its name says.
    """
    book_ids = _ids(raw, "book_id")
    columns = {
        "book_id": book_ids.cast(pa.string()),
        "authors": _lists(raw, "authors", comma=False),
        "genres": _lists(raw, "genres", comma=True),
        "year": _whole_numbers(raw, "year"),
        "isbn13": _isbns(raw),
        "row": raw.rows,
    } | {name: texts(raw, name) for name in ("title", "language", "series", "description")}
    table = pa.table([pa.array(columns[field.name], field.type) for field in BOOKS], BOOKS)
    missing, malformed = values.check_ids(book_ids)
    checks = {"missing_book_id": missing, "malformed_id": malformed}
    return raw.part(table, "books", checks)


def readers_batch(raw: RawBatch) -> Batch:
    """
    Readers, from columns user_id, location?, age?.

    Raises:
        SourceError: a typed column cannot mean what its name says.
    """
    user_ids = _ids(raw, "user_id")
    columns = {
        "user_id": user_ids.cast(pa.string()),
        "location": texts(raw, "location"),
        "age": _whole_numbers(raw, "age"),
        "row": raw.rows,
    }
    table = pa.table([pa.array(columns[field.name], field.type) for field in READERS], READERS)
    missing, malformed = values.check_ids(user_ids)
    checks = {"missing_user_id": missing, "malformed_id": malformed}
    return raw.part(table, "readers", checks)


def texts(raw: RawBatch, name: str) -> list[str | None]:
    """A column as text, empty as null; all null where there is no such column."""
    if name not in raw.columns.column_names:
        return [None] * len(raw.rows)
    found = raw.columns[name].to_pylist()
    return [None if value is None or value == "" else str(value) for value in found]


def _ids(raw: RawBatch, name: str) -> pa.DictionaryArray:
    try:
        return values.ids(raw.columns[name])
    except values.UnfitTypeError as error:
        raise _unfit(raw, name, error) from error


def _read(raw: RawBatch, name: str, read: Callable[[pa.ChunkedArray], values.Read]) -> values.Read:
    if name not in raw.columns.column_names:
        return values.nothing(name, len(raw.rows))
    try:
        return read(raw.columns[name])
    except values.UnfitTypeError as error:
        raise _unfit(raw, name, error) from error


def _unfit(raw: RawBatch, name: str, error: values.UnfitTypeError) -> SourceError:
    return SourceError(
        f"{raw.path}: column {raw.found_as[name]}, taken for {name}, {error}: convert or rename it"
    )


def _lists(raw: RawBatch, name: str, *, comma: bool) -> list[list[str]]:
    if name not in raw.columns.column_names:
        return [[] for _ in raw.rows]
    return [_split(value, comma=comma) for value in raw.columns[name].to_pylist()]


def _split(value: object, *, comma: bool) -> list[str]:
    """A list as it is; text at `;` or `|`, else at `,` where commas separate."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [str(part) for part in value if part is not None]
    text = "" if value is None else str(value)
    separators = _LIST_SEPARATORS if comma else _LIST_SEPARATORS[:1]
    separator = next((s for s in separators if s.search(text)), None)
    parts = separator.split(text) if separator else [text]
    return [part.strip() for part in parts if part.strip()]


def _whole_numbers(raw: RawBatch, name: str) -> list[int | None]:
    """Whole numbers; what is no number becomes null, and how often is logged."""
    found = texts(raw, name)
    numbers = [_whole_number(text) for text in found]
    unreadable = sum(
        1
        for text, number in zip(found, numbers, strict=True)
        if text not in _NULLS and number is None
    )
    if unreadable:
        log.warning("numbers_unreadable", file=str(raw.path), column=name, values=unreadable)
    return numbers


def _whole_number(text: str | None) -> int | None:
    try:
        number = float(text or "nan")
    except ValueError:
        return None
    return int(number) if abs(number) <= _MAX_NUMBER else None  # NaN compares false


def _isbns(raw: RawBatch) -> list[str | None]:
    """The first of isbn13 and isbn that is an ISBN; else whatever was found. Cleaning repairs."""
    pairs = zip(texts(raw, "isbn13"), texts(raw, "isbn"), strict=True)
    return [_isbn([text for text in pair if text]) for pair in pairs]


def _isbn(candidates: list[str]) -> str | None:
    valid = (text for text in candidates if normalise_isbn(text))
    return next(valid, next(iter(candidates), None))
