"""For each token of a field its books, looked up without a dictionary in memory."""

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from scipy import sparse

from pipelines.models.artifact import Array

TOKEN_BYTES = 48
UNKNOWN = -1

Positions = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Postings:
    """
    An inverted index of several fields over one sorted table of tokens.

    Attributes:
        tokens: UTF-8, cut at `TOKEN_BYTES`, ascending; shape (n_tokens,).
        indptr: Where the books of token t in field f begin, at f * n_tokens + t.
        books: book_nums, list after list.
        weights: Parallel to `books`.
    """

    tokens: npt.NDArray[np.bytes_]
    indptr: npt.NDArray[np.int64]
    books: npt.NDArray[np.int32]
    weights: npt.NDArray[np.float32]

    @classmethod
    def of(cls, tokens: npt.NDArray[np.bytes_], fields: Sequence[sparse.csr_array]) -> "Postings":
        """From one matrix of books x tokens a field."""
        stacked = sparse.csr_array(sparse.vstack([m.T for m in fields], format="csr"))
        stacked.sort_indices()
        return cls(
            tokens,
            stacked.indptr.astype(np.int64),
            stacked.indices.astype(np.int32),
            stacked.data.astype(np.float32),
        )

    @classmethod
    def load(cls, prefix: str, arrays: dict[str, Array]) -> Self:
        """From `arrays` as they were written."""
        names = ("tokens", "indptr", "books", "weights")
        return cls(*(arrays[f"{prefix}_{name}"] for name in names))

    def arrays(self, prefix: str) -> dict[str, Array]:
        """To be written, each name behind a prefix."""
        return {f"{prefix}_{name}": value for name, value in vars(self).items()}

    def __len__(self) -> int:
        return len(self.tokens)

    def positions(self, tokens: Sequence[str]) -> Positions:
        """Where tokens stand in the table; UNKNOWN for one that does not."""
        if not len(self) or not tokens:
            return np.full(len(tokens), UNKNOWN)
        wanted = np.array([encoded(token) for token in tokens], self.tokens.dtype)
        found = np.minimum(np.searchsorted(self.tokens, wanted), len(self) - 1)
        return np.where(self.tokens[found] == wanted, found, UNKNOWN)

    def add(self, scores: npt.NDArray[np.float64], field: int, position: int, worth: float) -> None:
        """Add the weights of a token in a field, times its worth, to the scores of its books."""
        row = field * len(self) + position
        entries = slice(self.indptr[row], self.indptr[row + 1])
        scores[self.books[entries]] += worth * self.weights[entries]


def counted(
    fields: Iterable[Iterator[list[str]]], n_books: int
) -> tuple[npt.NDArray[np.bytes_], list[sparse.csr_array]]:
    """All tokens, and for each field how often each book has each of them."""
    numbers: dict[bytes, int] = {}
    columns, starts = [], []
    for documents in fields:
        found, ends = array("i"), array("q", [0])
        for tokens in documents:
            found.extend(numbers.setdefault(encoded(t), len(numbers)) for t in tokens)
            ends.append(len(found))
        columns.append(np.array(found, np.int32))
        starts.append(np.array(ends, np.int64))
    table = np.array(list(numbers), f"S{TOKEN_BYTES}")
    order = np.argsort(table)
    rank_of = np.empty(len(table), np.int32)
    rank_of[order] = np.arange(len(table))
    matrices = []
    for nums, indptr in zip(columns, starts, strict=True):
        ones = np.ones(len(nums), np.float32)
        matrix = sparse.csr_array((ones, rank_of[nums], indptr), shape=(n_books, len(table)))
        matrix.sum_duplicates()
        matrices.append(matrix)
    return table[order], matrices


def encoded(token: str) -> bytes:
    """As it stands in a table; NumPy would drop NULs at the end, but no token has any."""
    return token.encode("utf-8", "replace")[:TOKEN_BYTES]


def value_list(value: Any) -> list[str]:
    """Of a field of texts or of a text; empty where missing."""
    if isinstance(value, str):
        return [value]
    if value is None or not isinstance(value, Iterable):  # pandas writes what is missing as NaN
        return []
    return [text for text in value if isinstance(text, str)]
