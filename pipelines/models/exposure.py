"""
How often books are shown: what a score must reach for each book to be shown its fair share.

Ranked by fit alone, a few books that suit many readers fill most lists. Seen from a book, the
readers it suits best are others than those in whose lists it ranks high; letting both sides count
spreads lists over the catalogue at little cost [Vargas & Castells 2014, "Improving Sales Diversity
by Recommending Users to Items", doi 10.1145/2645710.2645744].
"""

from collections.abc import Sequence

import numpy as np

from pipelines.data.interactions import History, Interactions
from pipelines.models.base import READERS_AT_ONCE, Recommender, ScoreMatrix, Scores

LIST_LENGTH = 10
MAX_READERS = 2000
MAX_CELLS = 64_000_000
"""Bounds the memory of a score matrix to 256 MB."""


def max_readers(n_books: int) -> int:
    """How many readers a score matrix has at most."""
    return min(MAX_READERS, max(1, MAX_CELLS // max(n_books, 1)))


def sampled(interactions: Interactions, rng: np.random.Generator) -> list[History]:
    """Histories of readers with a liked book: all, or as many drawn as a score matrix may have."""
    readers = np.flatnonzero(np.diff(interactions.liked.indptr))
    most = max_readers(interactions.n_books)
    if len(readers) > most:
        readers = np.sort(rng.choice(readers, most, replace=False))
    return interactions.histories(readers)


def score_matrix(model: Recommender, histories: Sequence[History], n_books: int) -> ScoreMatrix:
    """What a model says of every book to every reader; -inf also where the reader has met it."""
    matrix = np.empty((len(histories), n_books), np.float32)
    for start in range(0, len(histories), READERS_AT_ONCE):
        some = histories[start : start + READERS_AT_ONCE]
        matrix[start : start + len(some)] = model.score_many(some)
    for row, history in zip(matrix, histories, strict=True):
        row[history.book_nums] = -np.inf
    return matrix


def fair_thresholds(scores: ScoreMatrix) -> Scores:
    """
    For each book the score that just as many readers reach as lists it would stand in, were all
    books shown equally often; 0 where fewer readers are told anything of it.

    Returns:
        Shape (n_books,), in the unit of `scores`.
    """
    n_readers, n_books = scores.shape
    if not n_readers:
        return np.zeros(n_books, np.float32)
    share = np.clip(round(LIST_LENGTH * n_readers / n_books), 1, n_readers)
    reached = np.partition(scores, n_readers - share, axis=0)[n_readers - share]
    return np.where(np.isfinite(reached), reached, 0).astype(np.float32)


def damped(scores: Scores, thresholds: Scores, knob: float) -> Scores:
    """
    Scores less `knob` times what each book must reach.

    Args:
        scores: Shape (n_books,); -inf stays -inf.
        thresholds: Shape (n_books,), of `fair_thresholds`.
        knob: 0 ranks books by how well they fit the reader and gives `scores` itself; 1 by how much
            better than they fit their fair share of readers.
    """
    return scores - np.float32(knob) * thresholds if knob else scores


def between(least: ScoreMatrix, most: ScoreMatrix, knob: float) -> ScoreMatrix:
    """`least` at a knob of 0, `most` at 1; they are silent about the same books."""
    gained: ScoreMatrix = np.zeros_like(least)
    np.subtract(most, least, out=gained, where=np.isfinite(least))
    return least + np.float32(knob) * gained
