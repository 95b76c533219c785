"""
Ids of books that are ISBNs: every spelling of an ISBN becomes one id.

An id leaves the system as the catalogue spells it, so that whoever keeps the catalogue finds it
again; only what a spreadsheet has damaged is spelt as on the book. A book that the catalogue lacks
is spelt as in the ratings, with ten digits where both forms are found. An id that is no ISBN is
kept as it is.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.data.ids import distinct
from pipelines.data.isbn import (
    is_hopeless,
    is_proper,
    isbn10_to_13,
    lost_zeros,
    spelt_out,
)
from pipelines.data.quarantine import Mask

HOPELESS = "isbn_hopeless"
UNVERIFIED = "isbn_unverified"
ZEROS_RESTORED = "isbn_zeros_restored"
UNIFIED = "isbn_unified"


@dataclass(frozen=True)
class BookId:
    """One spelling found: which book it means, and how that would be written."""

    key: str
    """The ISBN-13, or the text itself where it is no ISBN; empty where it is hopeless."""
    spelling: str
    verified: bool

    @classmethod
    def read(cls, found: str) -> Self:
        text = found.strip()
        isbn = spelt_out(text)
        if isbn is not None:
            key = isbn if len(isbn) > 10 else isbn10_to_13(isbn)
            intact = text == isbn or (is_proper(text) and not lost_zeros(text, isbn))
            return cls(key, text if intact else isbn, True)
        return cls("" if is_hopeless(text) else text, text, False)


@dataclass(frozen=True)
class UnifiedIds:
    """A column of ids after unification; null where hopeless."""

    column: pa.Array
    hopeless: Mask


@dataclass(frozen=True)
class BookIds:
    """What becomes of each id found."""

    became: dict[str, str | None]
    rules: dict[str, str]

    @classmethod
    def of(cls, catalogue: pa.ChunkedArray | None, ratings: pa.ChunkedArray) -> Self:
        """From the ids of the catalogue, of which the last spelling counts, and of the ratings."""
        listed = [] if catalogue is None else catalogue.drop_null().to_pylist()
        rated = distinct(ratings).drop_null().to_pylist()
        read = {found: BookId.read(found) for found in {*listed, *rated}}
        spellings = _spellings(read[found] for found in sorted(rated, key=_ten_digits_last))
        spellings |= _spellings(read[found] for found in listed)
        became = {f: spellings[book.key] if book.key else None for f, book in read.items()}
        return cls(became, {f: _rule(f, book, became[f]) for f, book in read.items()})

    @cached_property
    def _found(self) -> pa.Array:
        return pa.array(list(self.became), pa.string())

    def _places(self, column: pa.ChunkedArray) -> pa.Array:
        """Where each id of `column` stands among those found; null for null."""
        encoded = column.combine_chunks().dictionary_encode()
        return pc.index_in(encoded.dictionary, value_set=self._found).take(encoded.indices)

    def unify(self, column: pa.ChunkedArray) -> UnifiedIds:
        """The ids that stand for those of `column`."""
        ids = pa.array(list(self.became.values()), pa.string()).take(self._places(column))
        return UnifiedIds(ids, np.asarray(ids.is_null()))

    def counted(self, column: pa.ChunkedArray) -> Counter[str]:
        """How many ids of `column` fall under each rule."""
        places = self._places(column).drop_null()
        cells = np.bincount(places.to_numpy(), minlength=len(self.became))
        told: Counter[str] = Counter()
        for rule, n in zip(self.rules.values(), cells.tolist(), strict=True):
            told[rule] += n
        return told


def _spellings(books: Iterable[BookId]) -> dict[str, str]:
    """By key; of several spellings the last."""
    return {book.key: book.spelling for book in books}


def _ten_digits_last(found: str) -> tuple[int, str]:
    return -len(found), found


def _rule(found: str, book: BookId, became: str | None) -> str:
    if became is None:
        return HOPELESS
    if not book.verified:
        return UNVERIFIED
    if found == became:
        return ""
    return ZEROS_RESTORED if lost_zeros(found, book.spelling) else UNIFIED
