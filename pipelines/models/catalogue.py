"""What a catalogue says of its books, in the order of the vocabulary, ready to be filtered by."""

import unicodedata
from collections import Counter
from collections.abc import Iterable
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.errors import ArtifactError
from pipelines.models.base import BookNums

Numbers = npt.NDArray[np.float64]
"""Shape (n_books,); NaN where nothing is known."""

NAMES_KEPT = 50_000
"""Titles read from the table once, at most: reading one takes longer than ranking it."""

_LETTERS = str.maketrans(
    {"æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "\u0131": "i"}
)
"""Letters that Unicode does not take apart into a plain one and its accent."""


def folded(name: str) -> str:
    """
    A name as it is compared: `J. K. Rowling` is `J.K. Rowling`, `Émile` is `emile`.

    Case, accents of Latin, Greek and Cyrillic letters, blanks and punctuation do not count; a name
    of nothing else folds to the empty text.
    """
    plain = unicodedata.normalize("NFKD", name).casefold().translate(_LETTERS)
    return "".join(c for c in plain if not _is_ornament(c))


def _is_ornament(character: str) -> bool:
    accent = "\u0300" <= character <= "\u036f"
    return accent or unicodedata.category(character)[0] in "PZC"


class NameIndex:
    """Which books bear a name."""

    def __init__(self, codes: dict[str, int], starts: npt.NDArray[np.int64], nums: BookNums):
        self._codes = codes
        self._starts = starts
        self._nums = nums

    @classmethod
    def of(cls, column: pa.ChunkedArray) -> Self:
        """From one row a book: a name, a list of names, or null."""
        values, nums = _flattened(column.combine_chunks())
        encoded = values.drop_null().dictionary_encode()
        keys, names = pd.factorize(np.array([folded(n) for n in encoded.dictionary.to_pylist()]))
        codes = keys[encoded.indices.to_numpy(zero_copy_only=False)]
        nums = nums[values.is_valid().to_numpy(zero_copy_only=False)]
        order = np.argsort(codes, kind="stable")
        starts = np.searchsorted(codes[order], np.arange(len(names) + 1))
        found = {str(name): code for code, name in enumerate(names) if name}
        return cls(found, starts, nums[order].astype(np.int32))

    def __len__(self) -> int:
        return len(self._codes)

    def books(self, names: Iterable[str]) -> BookNums:
        """The book_nums that bear any of these names, as `folded` compares them."""
        codes = {self._codes.get(folded(name)) for name in names} - {None}
        found = [self._nums[self._starts[c] : self._starts[c + 1]] for c in codes if c is not None]
        return np.concatenate([np.empty(0, np.int32), *found])


def _flattened(values: pa.Array) -> tuple[pa.Array, npt.NDArray[np.int64]]:
    """All names one after another, and the row that each stands in."""
    if pa.types.is_null(values.type):
        values = values.cast(pa.string())
    if pa.types.is_list(values.type) or pa.types.is_large_list(values.type):
        rows = pc.list_parent_indices(values).to_numpy()
        return _flattened(pc.list_flatten(values))[0], rows
    return values, np.arange(len(values))


class Catalogue:
    """
    A view of the table; what is slow to work out is worked out when it is first asked for.

    Args:
        table: Columns of `schemas.BOOKS`, and `mean_rating` where readers have rated.
    """

    def __init__(self, table: pa.Table) -> None:
        self.table = table
        self.named = lru_cache(NAMES_KEPT)(self._named)
        """Title and authors of a book_num."""

    def __len__(self) -> int:
        return len(self.table)

    @cached_property
    def genres(self) -> NameIndex:
        return NameIndex.of(self.table["genres"])

    @cached_property
    def authors(self) -> NameIndex:
        return NameIndex.of(self.table["authors"])

    @cached_property
    def languages(self) -> NameIndex:
        return NameIndex.of(self.table["language"])

    @cached_property
    def genre_sizes(self) -> list[tuple[str, int]]:
        """Each genre in its most frequent spelling, and how many books are of it; large first."""
        spelled = _flattened(self.table["genres"].combine_chunks())[0].drop_null()
        counts = sorted(Counter(spelled.to_pylist()).items(), key=lambda c: (-c[1], c[0]))
        spellings = {folded(name): name for name, _ in reversed(counts)}
        sizes = [(name, len(self.genres.books([name]))) for key, name in spellings.items() if key]
        return sorted(sizes, key=lambda size: (-size[1], size[0]))

    @cached_property
    def years(self) -> Numbers:
        return self._numbers("year")

    @cached_property
    def mean_ratings(self) -> Numbers:
        """On the scale of the source; NaN for a book that nobody rated."""
        return self._numbers("mean_rating")

    @property
    def is_described(self) -> bool:
        """Whether any book has an author or a genre."""
        return bool(len(self.genres) or len(self.authors))

    def _named(self, book_num: int) -> tuple[str, tuple[str, ...]]:
        title = self.table["title"][book_num].as_py() or "an untitled book"
        return title, tuple(self.table["authors"][book_num].as_py() or ())

    def entry(self, book_num: int) -> dict[str, Any]:
        """All that is known of a book, fit for JSON."""
        entry = self.table.slice(book_num, 1).to_pylist()[0]
        return {name: value for name, value in entry.items() if name != "row"}

    def _numbers(self, name: str) -> Numbers:
        if name not in self.table.column_names:
            return np.full(len(self.table), np.nan)
        column = self.table[name].cast(pa.float64())
        return column.to_numpy()

    def save(self, path: Path) -> None:
        """Write one chunk, so that a row is found without a search."""
        table = self.table.combine_chunks()
        with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
            writer.write_table(table)


def load_table(path: Path) -> pa.Table:
    """
    Map a saved catalogue into memory.

    Raises:
        ArtifactError: the file holds no table.
    """
    try:
        return pa.ipc.open_file(pa.memory_map(str(path))).read_all()
    except pa.ArrowInvalid as error:
        raise ArtifactError(f"{path} is no catalogue: {error}") from None
