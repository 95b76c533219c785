"""What each book says of each other book: the sparse matrix behind every item-based model."""

import os
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self, TypeVar

import numpy as np
import numpy.typing as npt
from pydantic import Field
from scipy import sparse

from pipelines.data.interactions import History, TrainingData
from pipelines.models.artifact import Array, read_artifact, write_artifact
from pipelines.models.base import BookNums, ModelConfig, Recommender, ScoreMatrix, Scores
from pipelines.models.kernels import native

BLOCK_ROWS = 256
PRODUCT_CELLS = 2**23
"""Of a block of a product: fewer blocks take less time, and each at most 150 MB or so."""

Block = TypeVar("Block")
Weights = npt.NDArray[np.float32]
Positions = npt.NDArray[np.int64]


class ItemWeightsConfig(ModelConfig):
    """What all item-based models share."""

    recency: float = Field(0.5, ge=0)
    """
    Above 0, what a reader liked lately counts more (see `History.profile`); ignored where the order
    of reading is unknown.
    """


class ItemWeightsRecommender(Recommender):
    """
    Scores book j by the sum of weight_i W_ij over the liked books i of the history.

    Subclasses learn W; it is kept as a CSR matrix without entries on its diagonal.
    """

    config: ItemWeightsConfig
    matrix_: sparse.csr_array
    """W, float32, columns ascending within a row."""
    rows_: native.SparseRows
    """The same."""
    recency_: float

    def __init__(self, config: ItemWeightsConfig | None = None) -> None:
        super().__init__(config or self.config_class())

    def fit(self, data: TrainingData, *, rng: np.random.Generator) -> Self:  # noqa: ARG002
        """Learn the weights; nothing is random here."""
        weights = self._learn(data)
        self.matrix_ = csr_over(
            weights.data.astype(np.float32, copy=False),
            weights.indices.astype(np.int32, copy=False),
            weights.indptr.astype(np.int64),
        )
        self.rows_ = rows_of(self.matrix_)
        self.recency_ = self.config.recency if data.ordered else 0.0
        return self

    @abstractmethod
    def _learn(self, data: TrainingData) -> sparse.csr_array:
        """W, shape (n_books, n_books), indices sorted, nothing on the diagonal."""

    def score(self, history: History) -> Scores:
        """Weighted sums; -inf for a book that no liked one speaks of."""
        scores: Scores = self.score_many([history])[0]
        return scores

    def score_many(self, histories: Sequence[History]) -> ScoreMatrix:
        """The same of each."""
        profiles = [history.profile(self.recency_) for history in histories]
        return self.rows_.sums(
            [profile.book_nums for profile in profiles],
            [profile.weights for profile in profiles],
            [1.0] * len(profiles),
        )

    def similarity(self, book_num: int) -> Scores:
        """The kept weights of a book."""
        scores = np.full(self._n_books, -np.inf, np.float32)
        row = slice(*self.matrix_.indptr[book_num : book_num + 2])
        scores[self.matrix_.indices[row]] = self.matrix_.data[row]
        return scores

    def contributions(self, history: History, book_nums: BookNums) -> npt.NDArray[np.float32]:
        """The term of each liked book in the sum that is the score."""
        profile = history.profile(self.recency_)
        return self.rows_.cells(profile.book_nums, book_nums) * profile.weights

    @property
    def _n_books(self) -> int:
        return int(self.matrix_.shape[0])

    @property
    def indptr_(self) -> npt.NDArray[np.integer]:
        """Of the CSR matrix, as are the next two."""
        return self.matrix_.indptr

    @property
    def indices_(self) -> npt.NDArray[np.int32]:
        return self.matrix_.indices

    @property
    def weights_(self) -> Weights:
        return self.matrix_.data

    def save(self, folder: Path) -> None:
        """Write the three arrays of the CSR matrix."""
        arrays: dict[str, Array] = {
            "indptr": self.indptr_.astype(np.int64),
            "indices": self.indices_,
            "weights": self.weights_,
            "recency": np.array([self.recency_]),
        }
        write_artifact(folder, self.name, self.config, arrays)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Open a saved model."""
        artifact = read_artifact(folder, cls.name)
        model = cls(artifact.config_as(cls.config_class))  # type: ignore[arg-type] # its own one
        model.matrix_ = csr_over(
            *(artifact.array(name) for name in ("weights", "indices", "indptr"))
        )
        model.rows_ = rows_of(model.matrix_)
        model.recency_ = float(artifact.array("recency")[0])
        return model


def csr_over(
    weights: Weights, indices: npt.NDArray[np.int32], indptr: npt.NDArray[np.int64]
) -> sparse.csr_array:
    """A square matrix over arrays that may be mapped files: neither copied nor looked through."""
    n_books = len(indptr) - 1
    # Of one integer type with the indices, or scipy would copy these into that of both.
    starts = indptr.astype(sparse.get_index_dtype(maxval=len(indices)))
    return sparse.csr_array((weights, indices, starts), shape=(n_books, n_books))


def rows_of(matrix: sparse.csr_array) -> native.SparseRows:
    """A matrix as scores are made from it."""
    return native.SparseRows(
        matrix.data, matrix.indices.astype(np.int32, copy=False), matrix.indptr
    )


def inverse_power(sums: npt.NDArray[np.floating], exponent: float) -> npt.NDArray[np.float32]:
    """The power -exponent of each positive sum; 0 where there is nothing to divide by."""
    positive = sums > 0
    return np.where(positive, np.where(positive, sums, 1.0) ** -exponent, 0.0).astype(np.float32)


def row_blocks(n_rows: int, size: int = BLOCK_ROWS) -> list[slice]:
    """Slices of at most `size` rows that cover all rows."""
    return [slice(start, start + size) for start in range(0, n_rows, size)]


def cores() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def on_all_cores(work: Callable[[Any], Block], tasks: Iterable[Any]) -> Iterator[Block]:
    """The results of independent pieces of work, in order, made by one thread a core."""
    with ThreadPoolExecutor(cores()) as pool:
        yield from pool.map(work, tasks)


def largest_products(left: sparse.sparray, right: sparse.sparray, k: int) -> sparse.csr_array:
    """
    The `k` largest entries of each row of a square product, which is never held whole.

    Args:
        left: Any sparse matrix.
        right: Has as many rows as `left` has columns, and as many columns as `left` has rows.
        k: Entries kept of a row, at least 1, its own on the diagonal not among them; of equal ones
            those of low columns.

    Returns:
        CSR, float32, with sorted indices.
    """
    left, right = _narrow(left), _narrow(right)

    def largest(rows: slice) -> sparse.csr_array:
        block = left[rows] @ right
        block = _largest(block, k + 1, block.data)  # one more, which may be its own
        return largest_of_rows(_without_diagonal(block, rows.start), k)

    n_books = left.shape[0]
    at_once = max(1, min(PRODUCT_CELLS // n_books, n_books // cores()))
    blocks = list(on_all_cores(largest, row_blocks(n_books, at_once)))
    return sparse.csr_array(sparse.vstack(blocks, format="csr"))


def _narrow(matrix: sparse.sparray) -> sparse.csr_array:
    """In the smallest types that hold it: products take as long as their memory is wide."""
    rows = sparse.csr_array(matrix, dtype=np.float32)
    size = sparse.get_index_dtype(maxval=max(rows.nnz, *rows.shape))
    return sparse.csr_array(
        (rows.data, rows.indices.astype(size), rows.indptr.astype(size)), shape=rows.shape
    )


def _without_diagonal(rows: sparse.csr_array, first: int) -> sparse.csr_array:
    """Rows of a square matrix, from the `first` on, without what stands on its diagonal."""
    nums = np.arange(first, first + rows.shape[0], dtype=rows.indices.dtype)
    return _entries(rows, np.flatnonzero(rows.indices != np.repeat(nums, np.diff(rows.indptr))))


def largest_of_rows(
    matrix: sparse.csr_array, k: int, by: npt.NDArray[np.floating] | None = None
) -> sparse.csr_array:
    """
    The `k` entries of each row that are largest, ties by ascending column.

    Args:
        matrix: Any CSR matrix.
        k: Entries kept of a row, at least 1.
        by: What is compared, parallel to `matrix.data`; the entries themselves if None.

    Returns:
        CSR with sorted indices.
    """
    largest = _largest(matrix, k, matrix.data if by is None else by)
    largest.sort_indices()
    return largest


def _largest(matrix: sparse.csr_array, k: int, by: npt.NDArray[np.floating]) -> sparse.csr_array:
    """As `largest_of_rows`, the entries of a row in the order they stand in."""
    least = _kth_largest(matrix.indptr, k, by)
    kept = np.flatnonzero(by >= np.repeat(least, np.diff(matrix.indptr)))
    counts = np.diff(np.searchsorted(kept, matrix.indptr))
    if counts.max(initial=0) > k:
        rows = np.repeat(np.arange(len(counts)), counts)
        edge = np.flatnonzero((counts > k)[rows] & (by[kept] == least[rows]))
        ranked = edge[np.lexsort((-matrix.indices[kept[edge]], rows[edge]))]
        kept = np.delete(kept, ranked[_places(rows[ranked]) < (counts - k)[rows[ranked]]])
    return _entries(matrix, kept)


def _kth_largest(
    indptr: npt.NDArray[np.integer], k: int, values: npt.NDArray[np.floating]
) -> npt.NDArray[np.floating]:
    """The `k`-th largest value of each row; -inf where a row has no more than `k`."""
    parted = values.copy()
    long = np.flatnonzero(np.diff(indptr) > k)
    for start, stop in zip(indptr[long].tolist(), indptr[long + 1].tolist(), strict=True):
        parted[start:stop].partition(stop - start - k)
    least = np.full(len(indptr) - 1, -np.inf, values.dtype)
    least[long] = parted[indptr[long + 1] - k]
    return least


def _places(rows: Positions) -> Positions:
    """0, 1, 2 … within each run of equal numbers."""
    starts = np.flatnonzero(np.diff(rows, prepend=-1))
    return np.arange(len(rows)) - np.repeat(starts, np.diff(starts, append=len(rows)))


def _entries(matrix: sparse.csr_array, kept: Positions) -> sparse.csr_array:
    """Those entries of a CSR matrix alone; `kept` are ascending positions in its data."""
    indptr = np.searchsorted(kept, matrix.indptr).astype(matrix.indptr.dtype)
    return sparse.csr_array((matrix.data[kept], matrix.indices[kept], indptr), shape=matrix.shape)
