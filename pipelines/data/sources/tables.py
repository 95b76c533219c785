"""Raw files to raw tables: ratings and books, and what had to be rejected."""

import re
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import structlog

from pipelines.data.isbn import normalise_isbn
from pipelines.data.quarantine import Mask
from pipelines.data.schemas import BOOKS, RATING_FIELDS, RAW_RATINGS
from pipelines.data.sources import values
from pipelines.data.sources.raw_file import RawFile
from pipelines.errors import SourceError

log = structlog.get_logger()

_LIST_SEPARATORS = (re.compile(r"[;|]"), re.compile(r","))
_MAX_YEAR = 2**31 - 1


def ratings_table(raw: RawFile) -> tuple[pa.Table, pa.Table]:
    """
    RAW_RATINGS and the rejected rows, from columns user_id, book_id, rating?, timestamp?.

    Raises:
        SourceError: a typed column cannot mean what its name says.
    """
    user_ids, book_ids = _ids(raw, "user_id"), _ids(raw, "book_id")
    rated = _read(raw, "rating")
    timed = _read(raw, "timestamp")
    table = pa.table([user_ids, book_ids, rated.column, timed.column, raw.rows], RAW_RATINGS)
    checks = {
        "missing_user_id": values.missing_ids(user_ids),
        "missing_book_id": values.missing_ids(book_ids),
        "malformed_id": values.malformed_ids(user_ids) | values.malformed_ids(book_ids),
        "rating_not_a_number": rated.unreadable,
        "timestamp_unreadable": timed.unreadable,
    }
    return raw.part(table, "ratings", checks)


def books_table(raw: RawFile) -> tuple[pa.Table, pa.Table]:
    """
    BOOKS and the rejected rows, from columns named as in BOOKS, and isbn; only book_id is needed.

    Raises:
        SourceError: a typed column cannot mean what its name says.
    """
    book_ids = _ids(raw, "book_id")
    columns = {
        "book_id": book_ids,
        "authors": _lists(raw, "authors", comma=False),
        "genres": _lists(raw, "genres", comma=True),
        "year": _years(raw),
        "isbn13": _isbns(raw),
        "row": raw.rows,
    } | {name: texts(raw, name) for name in ("title", "language", "series", "description")}
    table = pa.table([pa.array(columns[field.name], field.type) for field in BOOKS], BOOKS)
    checks: dict[str, Mask] = {
        "missing_book_id": values.missing_ids(book_ids),
        "malformed_id": values.malformed_ids(book_ids),
    }
    return raw.part(table, "books", checks)


def texts(raw: RawFile, name: str) -> list[str | None]:
    """A column as text, empty as null; all null where there is no such column."""
    if name not in raw.columns.column_names:
        return [None] * len(raw.rows)
    found = raw.columns[name].to_pylist()
    return [None if value is None or value == "" else str(value) for value in found]


def _ids(raw: RawFile, name: str) -> pa.Array:
    try:
        return values.id_texts(raw.columns[name])
    except values.UnfitTypeError as error:
        raise _unfit(raw, name, error) from error


def _read(raw: RawFile, name: str) -> values.Read:
    n = len(raw.rows)
    field = RATING_FIELDS[0 if name == "rating" else 1]
    if name not in raw.columns.column_names:
        return values.Read(pa.nulls(n, field.type), np.zeros(n, bool))
    read = values.ratings if name == "rating" else values.instants
    try:
        return read(raw.columns[name])
    except values.UnfitTypeError as error:
        raise _unfit(raw, name, error) from error


def _unfit(raw: RawFile, name: str, error: values.UnfitTypeError) -> SourceError:
    return SourceError(
        f"{raw.path}: column {raw.found_as[name]}, taken for {name}, {error}: convert or rename it"
    )


def _lists(raw: RawFile, name: str, *, comma: bool) -> list[list[str]]:
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


def _years(raw: RawFile) -> list[int | None]:
    """Whole years; what is no number becomes null, and how often is logged."""
    found = texts(raw, "year")
    years = [_year(text) for text in found]
    unreadable = sum(
        1 for text, year in zip(found, years, strict=True) if text is not None and year is None
    )
    if unreadable:
        log.warning("years_unreadable", file=str(raw.path), values=unreadable)
    return years


def _year(text: str | None) -> int | None:
    try:
        year = float(text or "nan")
    except ValueError:
        return None
    return int(year) if abs(year) <= _MAX_YEAR else None  # NaN compares false


def _isbns(raw: RawFile) -> list[str | None]:
    """The first of isbn13 and isbn that is an ISBN; else whatever was found. Cleaning repairs."""
    pairs = zip(texts(raw, "isbn13"), texts(raw, "isbn"), strict=True)
    return [_isbn([text for text in pair if text]) for pair in pairs]


def _isbn(candidates: list[str]) -> str | None:
    valid = (text for text in candidates if normalise_isbn(text))
    return next(valid, next(iter(candidates), None))
