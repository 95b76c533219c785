"""Lists that were made elsewhere, judged by the metrics and the test readers of the pipeline."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipelines.data.dataset import Dataset
from pipelines.data.splits import Part
from pipelines.evaluation import metrics
from pipelines.evaluation.bootstrap import interval
from pipelines.evaluation.protocol import LIST_LENGTH, holdout
from pipelines.models.base import BookNums, RankedBooks
from pipelines.stages.train import FITS

RESAMPLES = 2000


@dataclass(frozen=True)
class Row:
    """One line of the table of qualities."""

    model: str
    ndcg_at_10: float
    interval: tuple[float, float]
    """95 % bounds of `ndcg_at_10`."""
    recall_at_20: float
    coverage_at_10: float
    fit_seconds: float


class Judge:
    """Knows what the readers that the pipeline has judged its models by had still to find."""

    def __init__(self, dataset: Dataset, user_nums: npt.NDArray[np.int64]) -> None:
        self._n_books = len(dataset.books)
        every = holdout(
            dataset.interactions(*FITS["judging"]),
            dataset.interactions(Part.TEST),
            rng=np.random.default_rng(0),  # draws nothing: all readers are asked for
        )
        chosen = np.searchsorted(every.user_nums, user_nums)
        assert (every.user_nums[chosen] == user_nums).all()
        self._relevant = [every.relevant[i] for i in chosen]
        self._n_relevant = np.array([len(books) for books in self._relevant])
        self.histories = [every.histories[i] for i in chosen]
        self._met = [history.book_nums for history in self.histories]

    def row(self, model: str, lists: Sequence[BookNums], fit_seconds: float) -> Row:
        """
        Measure lists that stand in the order of `user_nums`.

        Raises:
            AssertionError: a list names a book twice or one that its reader has met.
        """
        ranked = _ranked(lists)
        books = metrics.book_matrix(ranked, LIST_LENGTH)
        assert all(len(set(one.tolist())) == len(one) for one in lists), model
        assert not metrics.hit_matrix(ranked, self._met, LIST_LENGTH).any(), model
        hits = metrics.hit_matrix(ranked, self._relevant, LIST_LENGTH)
        ndcg = metrics.ndcg(hits[:, :10], self._n_relevant)
        counts = metrics.recommendation_counts(books[:, :10], self._n_books)
        return Row(
            model,
            float(ndcg.mean()),
            interval(ndcg, rng=np.random.default_rng(0)),
            float(metrics.recall(hits, self._n_relevant).mean()),
            metrics.coverage(counts),
            fit_seconds,
        )

    def ndcg(self, lists: Sequence[BookNums]) -> metrics.PerReader:
        """NDCG@10 of each list."""
        return metrics.ndcg(
            metrics.hit_matrix(_ranked(lists), self._relevant, 10), self._n_relevant
        )


def ratio(ours: metrics.PerReader, theirs: metrics.PerReader) -> tuple[float, float, float]:
    """Ratio of the means over the same readers, and its 95 % bootstrap bounds."""
    rng = np.random.default_rng(0)
    drawn = (rng.integers(len(ours), size=len(ours)) for _ in range(RESAMPLES))
    ratios = [ours[readers].mean() / theirs[readers].mean() for readers in drawn]
    low, high = np.quantile(ratios, [0.025, 0.975])
    return float(ours.mean() / theirs.mean()), float(low), float(high)


def _ranked(lists: Sequence[BookNums]) -> list[RankedBooks]:
    """Ranks stand in for scores, which no metric looks at."""
    return [RankedBooks(books, -np.arange(len(books), dtype=np.float32)) for books in lists]
