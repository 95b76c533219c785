"""How far lists may reach beyond what is known to fit before readers would notice."""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from pipelines.evaluation import metrics
from pipelines.models.base import BookNums, ScoreMatrix, rank
from pipelines.models.exposure import LIST_LENGTH, between, damped, fair_thresholds

KNOBS = tuple(np.linspace(0, 1, 11).round(1).tolist())
"""What is tried."""
MIN_READERS = 30
"""With fewer, that nothing was lost may be chance."""


Chosen = tuple[float, dict[float, float]]
"""The knob, and the mean NDCG@10 at each of `KNOBS`; 0 and nothing with too few readers."""


def choose_damping(scores: ScoreMatrix, relevant: Sequence[BookNums], *, price: float) -> Chosen:
    """
    The largest knob of `exposure.damped` that costs no more accuracy than `price`.

    Args:
        scores: Of readers whose held-out books are known.
        relevant: What each of them is to find, parallel to the rows; each at least one book.
        price: See `_affordable`.
    """
    thresholds = fair_thresholds(scores)
    return _affordable(lambda knob: damped(scores, thresholds, knob), relevant, price)


def choose_new_books(
    least: ScoreMatrix, most: ScoreMatrix, relevant: Sequence[BookNums], *, price: float
) -> Chosen:
    """
    How far new books may go from their `least` to their `most` scores, all others having the same.

    Args:
        least: With `HybridConfig.new_books` at 0, of readers whose held-out books are known.
        most: With it at 1, of the same readers.
        relevant: As of `choose_damping`.
        price: See `_affordable`.
    """
    return _affordable(lambda knob: between(least, most, knob), relevant, price)


def _affordable(
    scores_at: Callable[[float], ScoreMatrix], relevant: Sequence[BookNums], price: float
) -> Chosen:
    """
    The largest knob that costs no more than a share `price` of the best NDCG@10.

    What it costs is the mean over readers of what the best knob gives more, and one standard error
    of that mean to be safe; at a price of 0 the best is taken.
    """
    if len(relevant) < MIN_READERS:
        return 0.0, {}
    reached = {knob: _ndcg(scores_at(knob), relevant) for knob in KNOBS}
    means = {knob: float(values.mean()) for knob, values in reached.items()}
    best = max(KNOBS, key=means.__getitem__)
    costs = {knob: _cost(reached[best] - values) for knob, values in reached.items()}
    return max(knob for knob in KNOBS if costs[knob] <= price * means[best]), means


def _cost(lost: npt.NDArray[np.float64]) -> float:
    return float(lost.mean() + lost.std() / np.sqrt(len(lost)))


def _ndcg(scores: ScoreMatrix, relevant: Sequence[BookNums]) -> npt.NDArray[np.float64]:
    lists = [rank(row, LIST_LENGTH) for row in scores]
    n_relevant = np.array([len(wanted) for wanted in relevant])
    return metrics.ndcg(metrics.hit_matrix(lists, relevant, LIST_LENGTH), n_relevant)
