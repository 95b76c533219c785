"""How far lists may be spread over the catalogue before readers would notice."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pipelines.evaluation import metrics
from pipelines.models.base import BookNums, ScoreMatrix, rank
from pipelines.models.exposure import LIST_LENGTH, damped, fair_thresholds

KNOBS = tuple(np.linspace(0, 1, 11).round(1).tolist())
"""What is tried."""
MIN_READERS = 30
"""With fewer, that nothing was lost may be chance."""


def choose_damping(
    scores: ScoreMatrix, relevant: Sequence[BookNums], *, price: float
) -> tuple[float, dict[float, float]]:
    """
    The largest knob of `exposure.damped` that costs no more accuracy than `price`.

    What it costs is the mean over readers of what the best knob gives more, and one standard error
    of that mean to be safe.

    Args:
        scores: Of readers whose held-out books are known.
        relevant: What each of them is to find, parallel to the rows; each at least one book.
        price: Share of the best NDCG@10 that may be given up for more of the catalogue; with 0 the
            best knob is taken.

    Returns:
        The knob, and the mean NDCG@10 that each of `KNOBS` reached; 0 and nothing with too few
        readers to tell.
    """
    if len(scores) < MIN_READERS:
        return 0.0, {}
    thresholds = fair_thresholds(scores)
    reached = {knob: _ndcg(damped(scores, thresholds, knob), relevant) for knob in KNOBS}
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
