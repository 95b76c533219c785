"""What draws simulated readers to books: tastes, and the fame that all of them follow."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

Matrix = npt.NDArray[np.float64]

GENRE_SPARSITY = 0.15
"""Shape of the gamma law for the love of a genre: the smaller, the fewer genres a reader loves."""
HIDDEN_FACTORS = 6
"""Leanings of readers that no column of the catalogue tells."""


@dataclass(frozen=True)
class TasteWeights:
    """How far each kind of taste moves a reader, in standard deviations of attraction."""

    genre: float = 1.3
    author: float = 0.6
    series: float = 0.8
    hidden: float = 0.7


def draw_tastes(
    catalogue: pd.DataFrame, weights: TasteWeights, n_readers: int, rng: np.random.Generator
) -> Matrix:
    """How much each book suits each reader: shape (n_readers, n_books), mean 0, variance 1."""
    series = [[name] if name else [] for name in catalogue["series"]]
    genres, authors, volumes = (
        _loadings(column) for column in (catalogue["genres"], catalogue["authors"], series)
    )
    parts = [
        (weights.genre, rng.gamma(GENRE_SPARSITY, size=(n_readers, len(genres))) @ genres),
        (weights.author, rng.normal(size=(n_readers, len(authors))) @ authors),
        (weights.series, rng.normal(size=(n_readers, len(volumes))) @ volumes),
        (weights.hidden, _hidden((n_readers, len(catalogue)), rng)),
    ]
    tastes = np.zeros((n_readers, len(catalogue)))
    for weight, part in parts:
        tastes += weight * _standard(part)
    return _standard(tastes)


def draw_fame(catalogue: pd.DataFrame, exponent: float, rng: np.random.Generator) -> Matrix:
    """
    The logarithm of how likely each book is to be met, by Zipf's law: shape (n_books,).

    Who is famous is drawn, with better chances for newer books and for series; volumes of one
    series share one fame.
    """
    series = catalogue["series"].to_numpy(dtype=object)
    works = np.where(series == "", catalogue["book_id"].astype("str").to_numpy(object), series)
    work_nums, firsts = pd.factorize(works)
    luck = rng.normal(size=len(firsts))[work_nums]
    luck += catalogue["year"].rank(pct=True).to_numpy() + (series != "")
    best = pd.Series(luck).groupby(work_nums).max().to_numpy()
    ranks = np.empty(len(best))
    ranks[np.argsort(-best)] = np.arange(1, len(best) + 1)
    return -exponent * np.log(ranks)[work_nums]


def _loadings(labels: Iterable[Sequence[str]]) -> Matrix:
    """How much each book is of each label, shape (n_labels, n_books): 1, 1/2, 1/3 ... as listed."""
    rows = list(labels)
    nums = {label: num for num, label in enumerate(sorted({x for row in rows for x in row}))}
    matrix = np.zeros((len(nums), len(rows)))
    for book_num, row in enumerate(rows):
        for place, label in enumerate(row, start=1):
            matrix[nums[label], book_num] = 1 / place
    return matrix / np.maximum(matrix.sum(axis=0), 1)


def _hidden(shape: tuple[int, int], rng: np.random.Generator) -> Matrix:
    readers = rng.normal(size=(shape[0], HIDDEN_FACTORS))
    return readers @ rng.normal(size=(HIDDEN_FACTORS, shape[1]))


def _standard(matrix: Matrix) -> Matrix:
    spread = matrix.std()
    return (matrix - matrix.mean()) / (spread if spread > 0 else 1)
