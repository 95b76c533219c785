"""Who read what, as models see it: vocabularies, histories and sparse matrices."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse

Id = int | str

CANONICAL_INTEGER = re.compile("0|-?[1-9][0-9]{0,18}")
"""One spelling a number, so that two addresses never mean the same reader; fits in 64 bits."""


class Vocabulary:
    """
    Translates between ids and dense positions, ids in ascending order.

    Ids are all int64 or all text; order is numeric or by code point, so that the same ids always
    get the same positions whatever order they were read in.
    """

    def __init__(
        self,
        ids: npt.NDArray[np.int64] | Sequence[str],
        aliases: Mapping[str, Id] = MappingProxyType({}),
    ) -> None:
        """
        Args:
            ids: May repeat.
            aliases: Other texts that mean one of the ids, such as those of editions of a work.
        """
        unique = pd.Index(ids).unique().sort_values()
        self._index = unique.astype("int64" if pd.api.types.is_integer_dtype(unique) else "str")
        # Without what an index adds to each look at it.
        self._values = self._index.to_numpy() if self.is_integer else self._index.array
        self.aliases = aliases

    @classmethod
    def of(cls, column: "pd.Series[int] | pd.Series[str]") -> "Vocabulary":
        """The vocabulary of all ids in a column."""
        return cls(column.to_numpy())

    def __len__(self) -> int:
        return len(self._index)

    def __contains__(self, key: object) -> bool:
        return key in self._index

    def __iter__(self) -> Iterator[Id]:
        return iter(self.ids(np.arange(len(self), dtype=np.int32)))

    @property
    def is_integer(self) -> bool:
        """Whether ids are integers rather than text."""
        return self._index.dtype == np.int64

    def nums(self, ids: Sequence[Id] | npt.NDArray[np.generic]) -> npt.NDArray[np.int32]:
        """Positions of `ids`; -1 for one that is unknown."""
        return self._index.get_indexer(pd.Index(ids)).astype(np.int32)

    def ids(self, nums: npt.NDArray[np.int32]) -> list[Id]:
        """Ids at `nums`, as plain int or str."""
        return list(self._values.take(nums).tolist())

    def parse(self, text: str) -> Id | None:
        """The id that `text` writes or is an alias of; None where it is neither."""
        key: Id = text
        if self.is_integer and CANONICAL_INTEGER.fullmatch(text):
            key = int(text)
        return key if key in self._index else self.aliases.get(text)

    def known(self, texts: Iterable[str]) -> npt.NDArray[np.int32]:
        """Positions of the ids that texts write, each once, as first met; unknown ones left out."""
        ids = dict.fromkeys(key for text in texts if (key := self.parse(text)) is not None)
        return np.array([self._index.get_loc(known) for known in ids], np.int32)

    def with_aliases(self, aliases: Mapping[str, Id]) -> "Vocabulary":
        """The same ids under further names."""
        return Vocabulary(self._index.to_numpy(), aliases)

    def without(self, known: Id) -> "Vocabulary":
        """The ids but one, of the same type even where none is left."""
        others = self._index[self._index != known]
        return Vocabulary(others.to_numpy(), self.aliases)

    @property
    def array(self) -> npt.NDArray[np.generic]:
        """All ids in order: int64, or object holding str."""
        return self._index.to_numpy()


@dataclass(frozen=True)
class History:
    """
    What one reader has met, each book once, in the order of reading where it is known.

    `weights` is how much each book speaks for the reader's taste: positive is liked, zero is met
    without being liked. A met book is never recommended again. Books are those of the vocabulary:
    the -1 that `Vocabulary.nums` gives for an unknown one must be left out.
    """

    book_nums: npt.NDArray[np.int32]
    weights: npt.NDArray[np.float32]

    @classmethod
    def of(cls, book_nums: Sequence[int]) -> "History":
        """A history of liked books."""
        return cls(np.asarray(book_nums, np.int32), np.ones(len(book_nums), np.float32))

    @cached_property
    def liked(self) -> "History":
        """The books that speak for the reader's taste, in ascending book_num."""
        return History(self.book_nums[self._order], self.weights[self._order])

    @cached_property
    def _order(self) -> npt.NDArray[np.intp]:
        """Where the liked books stand, by ascending book_num."""
        liked = np.flatnonzero(self.weights > 0)
        return liked[np.argsort(self.book_nums[liked], kind="stable")]

    def profile(self, recency: float) -> "History":
        """
        The liked books, ascending by book_num, the newest of them counting most.

        Args:
            recency: A book that was followed by k others counts (1 + k) ** -recency of its
                weight, all scaled so that their sum is that of the weights; 0 for a history
                whose order means nothing.
        """
        if not recency or not len(self.liked):
            return self.liked
        books, likings = self.liked.book_nums, self.liked.weights
        discount = (len(self) - self._order).astype(np.float32) ** np.float32(-recency)
        weights = likings * discount
        return History(books, weights * (likings.sum() / weights.sum()))

    def newest(self, n_liked: int) -> "History":
        """The end of it that holds the last `n_liked` liked books; at least 1."""
        liked = np.flatnonzero(self.weights > 0)
        start = liked[-min(n_liked, len(liked))] if len(liked) else 0
        return History(self.book_nums[start:], self.weights[start:])

    def __len__(self) -> int:
        return len(self.book_nums)


@dataclass(frozen=True)
class Interactions:
    """
    All histories as one CSR matrix, readers x books, float32 weights with explicit zeros.

    Column indices of a row stand in the order of reading, so the matrix is not index-sorted.
    """

    matrix: sparse.csr_array
    days: npt.NDArray[np.float32] | None = None
    """When each entry of `matrix.data` was met, in days since 1970; NaN or None where unknown."""

    @property
    def n_readers(self) -> int:
        return int(self.matrix.shape[0])

    @property
    def n_books(self) -> int:
        return int(self.matrix.shape[1])

    @cached_property
    def has_times(self) -> bool:
        """Whether it is known of any liked book when it was."""
        return self.days is not None and not np.isnan(self.days[self.matrix.data > 0]).all()

    def history(self, user_num: int) -> History:
        """The history of one reader; views, not copies."""
        start, stop = self.matrix.indptr[user_num], self.matrix.indptr[user_num + 1]
        return History(self.matrix.indices[start:stop], self.matrix.data[start:stop])

    def histories(self, user_nums: Sequence[int] | npt.NDArray[np.integer]) -> list[History]:
        """The histories of several readers."""
        return [self.history(int(u)) for u in user_nums]

    def without_reader(self, user_num: int) -> "Interactions":
        """The histories but one; readers after it move up."""
        matrix, n_readers = self.matrix, self.n_readers
        start, stop = matrix.indptr[user_num], matrix.indptr[user_num + 1]
        entries = np.r_[0:start, stop : matrix.nnz]
        lengths = np.delete(np.diff(matrix.indptr), user_num)
        indptr = np.concatenate([[0], np.cumsum(lengths)]).astype(matrix.indptr.dtype)
        others = sparse.csr_array(
            (matrix.data[entries], matrix.indices[entries], indptr),
            shape=(n_readers - 1, self.n_books),
        )
        return Interactions(others, None if self.days is None else self.days[entries])

    @cached_property
    def liked(self) -> sparse.csr_array:
        """Only positive weights, indices sorted: what models count."""
        matrix = self.matrix.copy()
        matrix.data[matrix.data < 0] = 0
        matrix.eliminate_zeros()
        matrix.sort_indices()
        return matrix

    @property
    def unmet(self) -> npt.NDArray[np.int32]:
        """Books that no reader has met, ascending."""
        met = np.bincount(self.matrix.indices, minlength=self.n_books)
        return np.flatnonzero(met == 0).astype(np.int32)

    @classmethod
    def build(
        cls,
        user_nums: npt.NDArray[np.integer],
        book_nums: npt.NDArray[np.integer],
        weights: npt.NDArray[np.float32],
        shape: tuple[int, int],
        days: npt.NDArray[np.float32] | None = None,
    ) -> "Interactions":
        """From parallel arrays without duplicate pairs, in the order of reading per reader."""
        order = np.argsort(user_nums, kind="stable")
        counts = np.bincount(user_nums, minlength=shape[0])
        indptr = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        matrix = sparse.csr_array(
            (weights[order].astype(np.float32), book_nums[order].astype(np.int32), indptr),
            shape=shape,
        )
        return cls(matrix, None if days is None else days[order])


@dataclass(frozen=True)
class TrainingData:
    """
    What a model may learn from.

    `books` has one row a book in vocabulary order: title (str), authors and genres (lists of
    str), series and description (str or None), year (Int32).
    """

    interactions: Interactions
    books: pd.DataFrame
    ordered: bool = False
    """Whether histories stand in the order of reading; else their order means nothing."""
    cache_folder: Path | None = None
    """
    Where a model may keep what is dear to compute and outlives a run, such as embeddings of texts
    and TF-IDF; a model without it gives the same result, only slower.
    """
