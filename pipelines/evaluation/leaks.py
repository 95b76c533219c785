"""
Signs that a model may have known what it was to find.

No check proves that there is no leak. These find what a leak commonly looks like: held-out pairs
among the training pairs, features that come from nowhere, a catalogue that tells who reads what.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse

from pipelines.data.interactions import Interactions, TrainingData
from pipelines.data.schemas import BOOKS
from pipelines.errors import DataError
from pipelines.models.documents import TOKENS

MAX_READERS = 2_000
"""Bounds the time: those looked at are evenly spaced."""
MIN_HELD_OUT = 3
"""With fewer, an ordinary word of few books fits a reader by chance."""
LIKENESS = 0.75
"""
Jaccard index from which a token names what a reader is tested on.

Of real readers 3 in 1000 come to the end of an author or a series just so, and then others do too.
"""
FINISHED = 0.8
"""A share of a token's books from which a reader has read them all, so to speak."""
MIN_NAMED = 15
MIN_NAMED_SHARE = 0.03
"""The most in clean data, of a library read by series alone: 7 readers of 70, and 1.6 % of 300."""
Counts = npt.NDArray[np.integer]


@dataclass(frozen=True)
class _Tokens:
    """Which book has which word or name; both matrices hold ones."""

    names: list[str]
    by_book: sparse.csr_array  # (n_books, n_tokens)
    by_token: sparse.csr_array  # the transpose
    sizes: Counts  # (n_tokens,), books of each token


@dataclass(frozen=True)
class _Matches:
    """Pairs of a reader and a token that has the very books the reader is tested on."""

    readers: Counts
    tokens: Counts
    n_met: Counts
    """Books of the token that the reader met, in training or in test."""


def assert_no_leak(training: TrainingData, heldout: Interactions) -> None:
    """
    Refuse data that tell a model what it will have to find.

    Three laws are checked. No reader meets a held-out book in training. The catalogue has no column
    but those of the schema, since others are computed, and often from ratings. And no more than a
    few readers have a token of the catalogue (a genre, an author, a series, a word) of their own,
    whose books are, but for those met in training, the reader's held-out ones: a feature computed
    from all ratings before they were split. A token that other readers went through as well is not
    their own: so series and authors are told from names.

    Args:
        training: What the judged models have learnt from.
        heldout: What they have to find; of the same vocabularies.

    Raises:
        DataError: one of the laws is broken.

    Notes:
        Blind to readers of fewer than three held-out books, to features that name many readers at
        once, and to anything that is not text. Two seconds for 10,000 books with descriptions, most
        of them for reading the descriptions.
    """
    known, found = _ones(training.interactions), _ones(heldout)
    n_shared = known.multiply(found).nnz
    if n_shared:
        raise DataError(
            f"leak: {n_shared:,} held-out pairs of reader and book are also trained on: "
            "split the ratings anew, after removing duplicates"
        )
    if computed := sorted(set(training.books.columns) - set(BOOKS.names)):
        raise DataError(
            f"leak: models are shown {', '.join(computed)}, which no source of books has: "
            "give them the columns of the catalogue alone"
        )
    n_held_out = np.diff(found.indptr)
    readers = _evenly(np.flatnonzero(n_held_out >= MIN_HELD_OUT), MAX_READERS)
    _refuse_names(known[readers], found[readers], training.books)


def _refuse_names(known: sparse.csr_array, found: sparse.csr_array, books: pd.DataFrame) -> None:
    tokens = _tokens(books)
    matches = _own(_matches(known, found, tokens), known + found, tokens)
    n_named, n_readers = len(np.unique(matches.readers)), found.shape[0]
    if n_named >= MIN_NAMED and n_named >= MIN_NAMED_SHARE * n_readers:
        raise DataError(
            f"leak: the catalogue names the very books that {n_named} of {n_readers} readers are "
            f"tested on (such as {tokens.names[matches.tokens[0]]}): "
            "leave out of it what was computed from the ratings"
        )


def _matches(known: sparse.csr_array, found: sparse.csr_array, tokens: _Tokens) -> _Matches:
    n_found, n_known = np.diff(found.indptr), np.diff(known.indptr)
    counts = (found @ tokens.by_book).tocoo()
    (rows, columns), hits = counts.coords, counts.data
    # A Jaccard index reaches LIKENESS only if both sets do without the other's rest.
    likely = (hits >= np.maximum(MIN_HELD_OUT, LIKENESS * n_found[rows])) & (
        tokens.sizes[columns] <= n_known[rows] + n_found[rows] / LIKENESS
    )
    rows, columns, hits = rows[likely], columns[likely], hits[likely]
    met_before = known[rows].multiply(tokens.by_token[columns]).sum(axis=1)
    together = n_found[rows] + tokens.sizes[columns] - met_before - hits
    alike = hits >= LIKENESS * together
    return _Matches(rows[alike], columns[alike], (hits + met_before)[alike])


def _own(matches: _Matches, met: sparse.csr_array, tokens: _Tokens) -> _Matches:
    """Those whose token no other reader has read all of."""
    which, place = np.unique(matches.tokens, return_inverse=True)
    counts = sparse.csr_array(met @ tokens.by_book[:, which])
    finished = counts.data >= FINISHED * tokens.sizes[which][counts.indices]
    by_token = np.bincount(counts.indices[finished], minlength=len(which))
    by_reader = matches.n_met >= FINISHED * tokens.sizes[matches.tokens]
    own = by_token[place] - by_reader == 0
    return _Matches(matches.readers[own], matches.tokens[own], matches.n_met[own])


def _tokens(books: pd.DataFrame) -> _Tokens:
    nums: dict[str, int] = {}
    rows: list[int] = []
    columns: list[int] = []
    for field, read in TOKENS.items():
        for book_num, value in enumerate(books[field]):
            tokens = [f"{field} {token!r}" for token in dict.fromkeys(read(value))]  # each once
            rows += [book_num] * len(tokens)
            columns += [nums.setdefault(token, len(nums)) for token in tokens]
    shape = (len(books), len(nums))
    matrix = sparse.csr_array((np.ones(len(rows), np.float32), (rows, columns)), shape=shape)
    sizes = np.bincount(columns, minlength=len(nums))
    return _Tokens(list(nums), matrix, sparse.csr_array(matrix.T), sizes)


def _ones(interactions: Interactions) -> sparse.csr_array:
    """Who met what, liked or not."""
    matrix = interactions.matrix
    ones = np.ones(matrix.nnz, np.float32)
    return sparse.csr_array((ones, matrix.indices, matrix.indptr), shape=matrix.shape)


def _evenly(nums: Counts, most: int) -> Counts:
    if len(nums) <= most:
        return nums
    return nums[np.linspace(0, len(nums) - 1, most).astype(np.int64)]
