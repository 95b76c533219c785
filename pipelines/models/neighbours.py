"""The nearest books of each book, as the three arrays of a CSR matrix."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

from pipelines.models.artifact import Array, Artifact
from pipelines.models.base import Scores

Nums = npt.NDArray[np.int32]
Cosines = npt.NDArray[np.float32]


@dataclass(frozen=True)
class NeighbourLists:
    """
    For each book the books near it, ascending, and how near.

    Attributes:
        indptr: Where the list of each book begins and ends, shape (n_books + 1,).
        indices: book_nums, list after list.
        cosines: Parallel to `indices`, in (0, 1].
    """

    indptr: npt.NDArray[np.int64]
    indices: Nums
    cosines: Cosines

    @classmethod
    def of(cls, lists: Iterable[tuple[Nums, Cosines]]) -> "NeighbourLists":
        """From one list a book, in vocabulary order, each ascending by book_num."""
        pairs = list(lists)
        sizes = [len(nums) for nums, _ in pairs]
        return cls(
            np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
            np.concatenate([np.empty(0, np.int32), *(nums for nums, _ in pairs)]),
            np.concatenate([np.empty(0, np.float32), *(cosines for _, cosines in pairs)]),
        )

    @classmethod
    def load(cls, artifact: Artifact) -> "NeighbourLists":
        """From the arrays of a model that has them."""
        names = ("neighbours_indptr", "neighbours_indices", "neighbours_cosines")
        return cls(*(artifact.array(name) for name in names))

    @property
    def arrays(self) -> dict[str, Array]:
        """To be written with the model."""
        return {
            "neighbours_indptr": self.indptr,
            "neighbours_indices": self.indices,
            "neighbours_cosines": self.cosines,
        }

    def __len__(self) -> int:
        return len(self.indptr) - 1

    def around(self, book_num: int) -> Scores:
        """Cosines of the neighbours of one book; -inf for all others."""
        scores = np.full(len(self), -np.inf, np.float32)
        row = slice(self.indptr[book_num], self.indptr[book_num + 1])
        scores[self.indices[row]] = self.cosines[row]
        return scores


class RowProducts:
    """Inner products of few pairs of rows of one sparse matrix, without a look at the others."""

    def __init__(self, matrix: sparse.csr_array) -> None:
        self._matrix = matrix
        self._dense = np.zeros(matrix.shape[1])

    def of(self, row: int, others: npt.NDArray[np.integer]) -> Cosines:
        """With each of some other rows."""
        matrix, dense = self._matrix, self._dense
        own = slice(matrix.indptr[row], matrix.indptr[row + 1])
        dense[matrix.indices[own]] = matrix.data[own]
        starts, stops = matrix.indptr[others], matrix.indptr[others + 1]
        sizes = (stops - starts).astype(np.int64)
        positions = np.repeat(starts - np.cumsum(sizes) + sizes, sizes)
        positions += np.arange(len(positions))
        terms = dense[matrix.indices[positions]] * matrix.data[positions]
        row_of = np.repeat(np.arange(len(others)), sizes)
        dense[matrix.indices[own]] = 0
        return np.bincount(row_of, terms, len(others)).astype(np.float32)
