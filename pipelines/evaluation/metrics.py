"""
How good ranked lists are, with binary relevance.

Accuracy is computed for all readers at once from a hit matrix of shape (Q, k): element (q, i) says
whether the book at rank i + 1 of list q is relevant to reader q. k is the number of columns; a
list that ended earlier has no hits there. Each accuracy metric has shape (Q,) and lies in 0..1; a
reader without relevant books scores 0.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import sparse

from pipelines.models.base import RankedBooks

Hits = npt.NDArray[np.bool_]
"""Shape (Q, k)."""
Counts = npt.NDArray[np.integer]
"""Shape (Q,) where it counts relevant books; (n_books,) where it counts by book."""
PerReader = npt.NDArray[np.float64]
"""Shape (Q,)."""
BookNums = npt.NDArray[np.int32]

NO_BOOK = -1


def book_matrix(ranked: Sequence[RankedBooks], k: int) -> BookNums:
    """The first `k` book_nums of each list, shape (Q, k); `NO_BOOK` where a list has ended."""
    books = np.full((len(ranked), k), NO_BOOK, np.int32)
    for row, one in zip(books, ranked, strict=True):
        row[: len(one)] = one.book_nums[:k]
    return books


def hit_matrix(ranked: Sequence[RankedBooks], relevant: Sequence[BookNums], k: int) -> Hits:
    """
    Which of the first `k` books of each list are relevant, shape (Q, k).

    Args:
        ranked: Q lists.
        relevant: Q arrays of book_nums, in any order.
        k: Cut-off; at least 1.
    """
    books = book_matrix(ranked, k).astype(np.int64)
    relevant_books = np.concatenate([np.empty(0, np.int64), *relevant])
    owners = np.repeat(np.arange(len(ranked)), [len(r) for r in relevant])
    # One number for each (list, book), so that one set operation serves all lists.
    stride = 1 + max(books.max(initial=0), relevant_books.max(initial=0))
    pairs = np.arange(len(ranked))[:, None] * stride + books
    return np.isin(pairs, owners * stride + relevant_books) & (books != NO_BOOK)


def ndcg(hits: Hits, n_relevant: Counts) -> PerReader:
    """Discounted gain, 1 / log2(rank + 1) a hit, over that of min(k, n_relevant) hits on top."""
    discounts = 1 / np.log2(np.arange(hits.shape[1]) + 2)
    ideal = np.cumsum(discounts)[_best_possible(hits, n_relevant) - 1]
    # Not a matrix product: its rounding would depend on where the reader stands in the matrix.
    gain = (hits * discounts).sum(axis=1)
    return np.minimum(gain / ideal, 1.0)  # rounding may overshoot


def recall(hits: Hits, n_relevant: Counts) -> PerReader:
    """Hits over all relevant books; below 1 for any list where more than k are relevant."""
    return hits.sum(axis=1) / np.maximum(n_relevant, 1)


def precision(hits: Hits) -> PerReader:
    """Hits over k, also for a list that ended before."""
    return hits.sum(axis=1) / hits.shape[1]


def average_precision(hits: Hits, n_relevant: Counts) -> PerReader:
    """Precision at the rank of each hit, summed, over min(k, n_relevant)."""
    precisions = np.cumsum(hits, axis=1) / np.arange(1, hits.shape[1] + 1)
    return (precisions * hits).sum(axis=1) / _best_possible(hits, n_relevant)


def reciprocal_rank(hits: Hits) -> PerReader:
    """One over the rank of the first hit; 0 without a hit."""
    first = hits.argmax(axis=1) + 1
    return np.where(hits.any(axis=1), 1 / first, 0.0)


def hit_rate(hits: Hits) -> PerReader:
    """1 where there is a hit."""
    return np.where(hits.any(axis=1), 1.0, 0.0)


def recommendation_counts(books: BookNums, n_books: int) -> npt.NDArray[np.int64]:
    """How often each book stands in a book matrix, shape (n_books,)."""
    return np.bincount(books[books != NO_BOOK], minlength=n_books).astype(np.int64)


def coverage(counts: Counts) -> float:
    """Share of the catalogue that was recommended at all."""
    return float(np.mean(counts > 0))


def gini(counts: Counts) -> float:
    """
    Inequality of recommendation counts over the whole catalogue.

    0 where each book is recommended equally often, or none is at all; 1 - 1/n_books where all
    recommendations go to one book.
    """
    n, total = len(counts), counts.sum()
    if total == 0:
        return 0.0
    shares = np.sort(counts) / total
    return max(0.0, float(2 * (np.arange(1, n + 1) @ shares) / n - (n + 1) / n))


def novelty(counts: Counts, popularity: Counts) -> float:
    """
    Mean surprise of a recommendation in bits: -log2 of the book's share of all interactions.

    Args:
        counts: How often each book was recommended, shape (n_books,).
        popularity: How many interactions each book has, shape (n_books,); a book without any
            counts as one with a single one, so that the result stays finite.

    Returns:
        0 where nothing was recommended.
    """
    bits = -np.log2(np.maximum(popularity, 1) / max(popularity.sum(), 1))
    return float(counts @ bits / max(counts.sum(), 1))


def unit_rows(matrix: sparse.csr_array) -> sparse.csr_array:
    """Rows of length 1; an empty row stays empty."""
    lengths = np.sqrt(matrix.multiply(matrix).sum(axis=1))
    scale = np.divide(1, lengths, out=np.zeros_like(lengths), where=lengths > 0)
    return sparse.csr_array(sparse.diags_array(scale) @ matrix)


def diversity(books: BookNums, documents: sparse.csr_array) -> float | None:
    """
    Mean over lists of the mean of 1 - cosine over all pairs of different books in a list.

    Args:
        books: Shape (Q, k), `NO_BOOK` where a list has ended.
        documents: Rows of length 1, shape (n_books, n_words), none negative; an empty row is a
            book of which nothing is known, and counts as not being in the list.

    Returns:
        In 0..1; None where no list has two books of which something is known.

    Notes:
        The squared length of the sum of m unit vectors is m plus the cosines of all ordered pairs,
        so no pair is ever looked at.
    """
    known = np.diff(documents.indptr) > 0
    rows, ranks = np.nonzero((books != NO_BOOK) & known[books])
    chosen = books[rows, ranks]
    shape = (len(books), documents.shape[0])
    lists = sparse.csr_array((np.ones(len(rows)), (rows, chosen)), shape=shape)
    sizes = np.bincount(rows, minlength=len(books))
    sums = lists @ documents
    several = sizes >= 2
    if not several.any():
        return None
    m = sizes[several]
    cosines = (sums.multiply(sums).sum(axis=1)[several] - m) / (m * (m - 1))
    return float(np.clip(1 - cosines, 0, 1).mean())


def _best_possible(hits: Hits, n_relevant: Counts) -> npt.NDArray[np.int64]:
    """Hits of a perfect list; 1 where nothing is relevant, which keeps 0 / 0 out."""
    return np.clip(n_relevant, 1, hits.shape[1]).astype(np.int64)
