"""
Readers who do not behave like readers: told about, with their numbers, and never dropped.

A flag is a reason to look, not a verdict: a burst may be a whole shelf that was entered on one
evening.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.data.profiling import days

MIN_BURST = 30
"""Ratings a day: fewer are an eager afternoon, whatever others do."""
ABOVE_ALL, ABOVE_OWN = 5.0, 5.0
"""How many times the busiest day of 99 in 100, and the reader's own usual day, a burst exceeds."""
MIN_CONSTANT = 20
"""Ratings: fewer equal ones say little."""
MAX_CHANCE = 1e-6
"""Equal ratings that chance gives more often than so are no sign of anything."""
MIN_SHARE_OF_BOOKS = 0.5
ABOVE_MOST = 5.0
"""How many times as much as 95 in 100 readers somebody rates who seems to rate everything."""

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class FlaggedReader:
    """A reader, why to look at them, and the numbers behind it."""

    user_id: int | str
    reason: str
    """rate_burst, constant_rater or rates_everything."""
    numbers: dict[str, float] = field(default_factory=dict)


def flag_readers(ratings: pa.Table) -> list[FlaggedReader]:
    """
    Find readers worth a look.

    Args:
        ratings: Schema RAW_RATINGS, one row a pair of reader and book.

    Returns:
        By reason, the most extreme first; a reader may be flagged for several reasons.
    """
    encoded = ratings["user_id"].combine_chunks().dictionary_encode()
    readers = encoded.indices.to_numpy().astype(np.int64)
    n_readers = len(encoded.dictionary)
    found = (
        *_bursts(readers, days(ratings["rated_at"])),
        *_constant(readers, ratings["rating"].to_numpy(), n_readers),
        *_everything(np.bincount(readers, minlength=n_readers), ratings["book_id"]),
    )
    return [FlaggedReader(encoded.dictionary[num].as_py(), why, told) for num, why, told in found]


_Found = Iterator[tuple[int, str, dict[str, float]]]


def _bursts(readers: Ints, rated_on: pa.ChunkedArray) -> _Found:
    """The busiest day of each reader, where it is far beyond what all and they themselves do."""
    known = rated_on.is_valid().to_numpy()
    if not known.any():
        return
    day = rated_on.drop_null().to_numpy().astype(np.int64)
    first, span = day.min(), int(day.max() - day.min()) + 1
    visits, counts = np.unique(readers[known] * span + day - first, return_counts=True)
    usual = float(np.quantile(counts, 0.99))
    flagged: set[int] = set()
    for at in _descending(counts, counts > max(MIN_BURST, ABOVE_ALL * usual)):
        reader = int(visits[at] // span)
        start, end = np.searchsorted(visits, [reader * span, (reader + 1) * span])
        others = np.delete(counts[start:end], at - start)
        own = float(np.median(others)) if len(others) else 0.0
        if reader not in flagged and counts[at] > ABOVE_OWN * own:
            flagged.add(reader)
            yield reader, "rate_burst", {
                "day": int(visits[at] % span + first),
                "ratings": int(counts[at]),
                "own_usual_day": own,
                "busy_day_of_others": usual,
            }  # fmt: skip


def _constant(readers: Ints, ratings: npt.NDArray[np.float64], n_readers: int) -> _Found:
    """Those who give one rating and no other, more often than chance would."""
    rated = ~np.isnan(ratings)
    values, codes = np.unique(ratings[rated], return_inverse=True)
    who = readers[rated]
    counts = np.bincount(who, minlength=n_readers)
    highest = np.full(n_readers, -1)
    lowest = np.full(n_readers, len(values))
    np.maximum.at(highest, who, codes)
    np.minimum.at(lowest, who, codes)
    share = np.bincount(codes, minlength=len(values)) / max(len(codes), 1)
    constant = (counts >= MIN_CONSTANT) & (highest == lowest)
    for reader in _descending(counts, constant):
        chance = float(share[highest[reader]] ** counts[reader])
        if chance < MAX_CHANCE:
            rating = float(values[highest[reader]])
            yield reader, "constant_rater", {
                "ratings": int(counts[reader]), "rating": rating, "chance": chance,
            }  # fmt: skip


def _everything(counts: Ints, books: pa.ChunkedArray) -> _Found:
    """Those who rate half of all books or more, and far more than nearly everybody."""
    n_books, most = len(pc.unique(books)), float(np.quantile(counts, 0.95)) if len(counts) else 0.0
    extreme = (counts >= MIN_SHARE_OF_BOOKS * n_books) & (counts > ABOVE_MOST * most)
    for reader in _descending(counts, extreme):
        yield reader, "rates_everything", {
            "ratings": int(counts[reader]), "books": n_books, "most_of_others": most,
        }  # fmt: skip


def _descending(counts: Ints, wanted: npt.NDArray[np.bool_]) -> list[int]:
    """Positions of those wanted, the highest count first."""
    at = np.flatnonzero(wanted)
    return [int(i) for i in at[np.argsort(-counts[at], kind="stable")]]
