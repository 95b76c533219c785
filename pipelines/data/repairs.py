"""Columns of a table, repaired cell by cell; every changed cell is counted under its rules."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.data.isbn import normalise_isbn
from pipelines.data.languages import language_code
from pipelines.data.schemas import UNTITLED
from pipelines.data.text import TEXT, Repairs, clean_text, repaired, suspect

Counts = Counter[str]
"""Changed cells by rule."""


def texts(column: pa.ChunkedArray, counts: Counts) -> pa.Array:
    """Clean text; empty is null."""
    found = column.combine_chunks()
    doubtful = suspect(found)
    results = [repaired(text) for text in found.filter(pa.array(doubtful)).to_pylist()]
    counts.update(rule for _, rules in results for rule in rules)
    cleaned = pa.array([text or None for text, _ in results], pa.string())
    counts["text_empty"] += sum(1 for text, rules in results if not text and not rules)
    return pc.replace_with_mask(found, pa.array(doubtful), cleaned)


def text_lists(column: pa.ChunkedArray, counts: Counts, repairs: Repairs = TEXT) -> list[list[str]]:
    """Clean texts without empty and repeated ones, in the order found; null is an empty list."""
    found = column.to_pylist()
    results = {text: repaired(text, repairs) for text in _distinct(found)}
    cleaned = []
    for cell in found:
        some = [results[text] for text in cell or () if text is not None]
        kept = list(dict.fromkeys(text for text, _ in some if text))
        counts.update({rule for _, rules in some for rule in rules})
        counts["list_shortened"] += len(kept) < len(cell or ())
        cleaned.append(kept)
    return cleaned


def titles(column: pa.Array, ids: pa.ChunkedArray, counts: Counts) -> pa.Array:
    """A book without a title is named after its id."""
    names = [clean_text(f"{UNTITLED} {i}") for i in ids.filter(column.is_null()).to_pylist()]
    counts["title_missing"] += len(names)
    return pc.replace_with_mask(column, column.is_null(), pa.array(names, pa.string()))


def numbers(
    column: pa.ChunkedArray,
    bounds: tuple[int, int],
    counts: Counts,
    rule: str,
    *,
    but: int | None = None,
) -> pa.Array:
    """What lies outside of the bounds, or is `but`, becomes null."""
    found = column.combine_chunks()
    low, high = bounds
    possible = pc.and_(pc.greater_equal(found, low), pc.less_equal(found, high))
    if but is not None:
        possible = pc.and_(possible, pc.not_equal(found, but))
    counts[rule] += pc.sum(pc.invert(possible)).as_py() or 0
    return pc.if_else(possible, found, pa.scalar(None, found.type))


def languages(column: pa.ChunkedArray, counts: Counts) -> list[str | None]:
    """Codes of two letters."""
    return _mapped(column, _language, counts, lambda *_: "language_normalised")


def isbns(column: pa.ChunkedArray, counts: Counts) -> list[str | None]:
    """ISBN-13, or null where there is none."""
    return _mapped(
        column,
        lambda text: normalise_isbn(text) if text else None,
        counts,
        lambda _, isbn: "isbn_repaired" if isbn else "isbn_invalid",
    )


def locations(column: pa.ChunkedArray, counts: Counts) -> list[str | None]:
    """Parts as in "nyc, new york, usa" trimmed; those that are empty or `n/a` left out."""
    return _mapped(column, _location, counts, lambda *_: "location_cleaned")


def _language(text: str) -> str | None:
    cleaned = clean_text(text)
    return language_code(cleaned) if cleaned else None


def _location(text: str) -> str | None:
    parts = [part.strip(' "\\') for part in (clean_text(text) or "").split(",")]
    return ", ".join(p for p in parts if p and p.casefold() not in {"n/a", "null", "."}) or None


def _mapped(
    column: pa.ChunkedArray,
    repair: Callable[[str], str | None],
    counts: Counts,
    rule: Callable[[str, str | None], str],
) -> list[str | None]:
    encoded = column.combine_chunks().dictionary_encode()
    found = encoded.dictionary.to_pylist()
    cleaned = [repair(text) for text in found]
    codes = encoded.indices.drop_null().to_numpy()
    cells = np.bincount(codes, minlength=len(found)).tolist()
    for old, new, n in zip(found, cleaned, cells, strict=True):
        if old != new:
            counts[rule(old, new)] += n
    return [None if code is None else cleaned[code] for code in encoded.indices.to_pylist()]


def _distinct(lists: Iterable[Sequence[str | None] | None]) -> set[str]:
    return {text for texts_ in lists for text in texts_ or () if text is not None}
