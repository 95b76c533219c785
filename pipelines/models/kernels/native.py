"""
The way into `scoring.c`: arrays of NumPy are checked, and Python's lock is free for what is long.

Row numbers are checked here, for a wrong one would read or write whatever lies in memory there.
"""

import ctypes
from collections.abc import Sequence
from itertools import accumulate

import numpy as np
import numpy.typing as npt

from pipelines.errors import ModelError
from pipelines.models.kernels.library import FLOATS, INTS, LONGS, Array, library
from pipelines.models.kernels.memory import fresh

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Nums = npt.NDArray[np.int32]

MAX_PARTS = 64


def _sized(array: Array, size: int) -> Array:
    """
    The array itself.

    Raises:
        ValueError: it has another number of elements.
    """
    if array.size != size:
        raise ValueError(f"an array of {size} elements is needed, not of {array.size}")
    return array


def _rows(nums: npt.NDArray[np.integer], n_rows: int) -> Nums:
    """
    Row numbers as the functions take them.

    Raises:
        IndexError: one of them is not that of a row.
    """
    if nums.size and not (nums.min() >= 0 and nums.max() < n_rows):
        raise IndexError(f"a number is not between 0 and {n_rows - 1}")
    return np.ascontiguousarray(nums, np.int32)


def _firsts(arrays: Sequence[Array]) -> npt.NDArray[np.int64]:
    """Where each of some arrays begins in all of them put together, and where the last ends."""
    ends = accumulate(map(len, arrays), initial=0)
    return np.fromiter(ends, np.int64, len(arrays) + 1)


def _joined(arrays: Sequence[Array]) -> Array:
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)


class SparseRows:
    """The rows of a square CSR matrix, columns ascending within each."""

    def __init__(self, data: Floats, indices: Nums, indptr: npt.NDArray[np.integer]) -> None:
        """
        Args:
            data: May be a mapped file, as the next.
            indices: Parallel to `data`.
            indptr: Shape (n_rows + 1,).
        """
        # Kept, because what is handed over is where they lie.
        self._arrays: tuple[Array, ...] = indptr.astype(np.int64), _sized(indices, data.size), data
        kinds = (LONGS, INTS, FLOATS)
        self._lie = [k.address(a) for k, a in zip(kinds, self._arrays, strict=True)]
        self._n_rows, self._n_cells = len(indptr) - 1, data.size

    def __reduce__(self) -> tuple[type["SparseRows"], tuple[Array, ...]]:
        """A copy hands over where its own arrays lie."""
        return type(self), self._arrays[::-1]

    def sums(
        self, rows: Sequence[Nums], weights: Sequence[Floats], totals: Sequence[float]
    ) -> Floats:
        """
        For each reader, rows added up by weights and divided by a total.

        In float64 and in the order of the rows; then in float32, with -inf where that is 0.

        Args:
            rows: For each reader the row numbers.
            weights: Parallel to `rows`.
            totals: One a reader, not 0.

        Returns:
            Shape (n_readers, n_rows).

        Raises:
            IndexError: there is no such row.
            ModelError: the matrix is none.
        """
        nums = _joined(rows)
        scores = fresh(len(rows), self._n_rows)
        failed = library().sums_of_rows(
            len(rows),
            _firsts(rows),
            nums if nums.dtype == np.int32 else _rows(nums, self._n_rows),
            _sized(_joined(weights), len(nums)),
            _sized(np.array(totals, np.float64), len(rows)),
            np.empty(max(map(len, rows)), np.int64),
            self._n_rows,
            self._n_cells,
            *self._lie,
            scores,
        )
        self._fails(failed)
        return scores

    def cells(self, rows: Nums, columns: Nums) -> Floats:
        """
        What stands in some rows in some columns, 0 where nothing does.

        Returns:
            Shape (n_columns, n_rows), a row for each column that is asked for.

        Raises:
            IndexError: there is no such row or column.
            ModelError: the matrix is none.
        """
        found = np.empty((len(columns), len(rows)), np.float32)
        failed = library().cells_of_rows(
            len(rows),
            _rows(rows, self._n_rows),
            len(columns),
            _rows(columns, self._n_rows),
            self._n_rows,
            self._n_cells,
            *self._lie,
            found,
        )
        self._fails(failed)
        return found

    def _fails(self, failed: int) -> None:
        if failed == 1:
            raise IndexError(f"a number is not between 0 and {self._n_rows - 1}")
        if failed:
            raise ModelError("the columns of a sparse matrix do not ascend: train the model again")


def factors_of_readers(factors: Floats, books: Sequence[Nums], above: Sequence[Doubles]) -> Floats:
    """
    The factors of readers who like some books, see `MatrixFactorizationRecommender`.

    Args:
        factors: Of all books, shape (n_books, n_factors), in which the sum over all books of the
            products of their factors with themselves, and the regularization, is the identity.
        books: For each reader the liked books.
        above: Parallel to `books`: the confidence above 1, which is positive.

    Returns:
        Shape (n_readers, n_factors).

    Raises:
        IndexError: there is no such book.
    """
    n_books, size = factors.shape
    nums, firsts = _rows(_joined(books), n_books), _firsts(books)
    tastes = np.empty((len(books), size), np.float32)
    work = fresh(4 * (size // 8 * 8 + 8) ** 2).view(np.float64)
    library().factors_of_readers(
        len(books),
        size,
        factors,
        firsts,
        nums,
        _sized(_joined(above), len(nums)),
        work,
        tastes,
    )
    return tastes


def products(factors: Floats, tastes: Floats) -> Floats:
    """
    Inner products, shape (n_readers, n_books), of the rows of both; each the same in any company.

    Sums may end a little differently on other kinds of processors.
    """
    (n_books, size), n_readers = factors.shape, len(tastes)
    scores = fresh(n_readers, n_books)
    library().products(
        n_books,
        n_readers,
        size,
        factors,
        _sized(tastes, n_readers * size),
        scores,
    )
    return scores


def blend(
    scores: Sequence[Floats],
    weights: npt.ArrayLike,
    knows_new: Sequence[bool],
    seen: Sequence[Nums],
    *,
    out: Floats,
    new: Nums | None = None,
    lift: float = 0.0,
    silence: float = -np.inf,
    thresholds: Floats | None = None,
    knobs: Sequence[float] | None = None,
) -> int:
    """
    The weighted mean of what parts say of all books, each on its scale over unseen books.

    Args:
        scores: Of each part, shape (n_readers, n_books).
        weights: For each reader those of the parts; a part of weight 0 is not looked at.
        knows_new: Whether a part may know books that nobody has met.
        seen: For each reader the books that set no scale.
        out: Takes the means, shape (n_readers, n_books).
        new: Books that nobody has met.
        lift: How far the mean of these is one over the parts that know such books.
        silence: Of a book that no part speaks of.
        thresholds: Shape (n_books,).
        knobs: For each reader, so much of the thresholds is taken off.

    Returns:
        For how many readers any part says anything of unseen books; other parts do not count.

    Raises:
        IndexError: there is no such book.
    """
    (n_readers, n_books), n_parts = out.shape, len(scores)
    if n_parts > MAX_PARTS or n_parts != len(knows_new) or n_readers != len(seen):
        raise ValueError(f"at most {MAX_PARTS} parts, and the books seen by each, are needed")
    new = _rows(new, n_books) if lift and new is not None else np.empty(0, np.int32)
    damping = np.zeros(n_readers, np.float32)
    if thresholds is not None and knobs is not None:
        damping[:] = knobs
    lies = [FLOATS.address(_sized(each, out.size)) for each in scores]
    told: int = library().blend(
        n_readers,
        n_books,
        n_parts,
        (ctypes.c_void_p * n_parts)(*lies),
        _sized(np.ascontiguousarray(weights, np.float64), n_readers * n_parts),
        np.asarray(knows_new, np.bool_),
        _firsts(seen),
        _rows(_joined(seen), n_books),
        new,
        len(new),
        lift,
        silence,
        None if thresholds is None else _sized(thresholds, n_books),
        damping,
        out,
    )
    return told


def best(scores: Floats, n: int) -> Nums:
    """The at most `n` books of the best finite scores, best first, ties by ascending book_num."""
    nums = np.empty(min(n, scores.size), np.int32)
    found = library().best(scores.size, scores, len(nums), nums)
    return nums[:found]
