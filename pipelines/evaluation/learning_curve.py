"""What more readers are worth: one model, fitted on ever more of them, judged on the same ones."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import sparse
from threadpoolctl import threadpool_limits

from pipelines.data.interactions import Interactions, TrainingData
from pipelines.evaluation.protocol import Holdout, evaluate
from pipelines.models.base import Recommender

SHARES = (0.125, 0.25, 0.5)
"""Of the readers, ascending; the whole comes with the fitted model."""
MAX_JUDGED = 1_000
QUICK = "item_knn"
"""It is strong alone, and fitted in a fraction of the time of the others that are."""


@dataclass(frozen=True)
class Point:
    """What a model reached that knew some of the readers."""

    share: float
    readers: int
    ndcg_at_10: float
    low: float
    high: float


@dataclass(frozen=True)
class LearningCurve:
    """JSON-able through `dataclasses.asdict`."""

    model: str
    judged_readers: int
    points: tuple[Point, ...]
    """Ascending; the last knew all readers."""
    skipped: tuple[float, ...]
    """Shares that would have taken too long."""


def learner(parts: Mapping[str, Recommender], weights: Mapping[str, float]) -> Recommender | None:
    """The part to draw the curve of: the quick one, else the heaviest; None if no part learns."""
    learning = [name for name, part in parts.items() if part.learns_from_readers]
    if QUICK in learning:
        return parts[QUICK]
    heaviest = max(learning, key=lambda name: weights.get(name, 0.0), default=None)
    return None if heaviest is None else parts[heaviest]


def learning_curve(
    whole: Recommender,
    data: TrainingData,
    readers: Holdout,
    *,
    max_seconds: float,
    rng: np.random.Generator,
    clock: Callable[[], float] = time.perf_counter,
) -> LearningCurve:
    """
    Fit `whole` again on nested shares of the readers, the smallest first.

    Args:
        whole: Fitted on all of `data`.
        data: What it was fitted on.
        readers: Whom to judge by, `MAX_JUDGED` of them at most; they are told of in full.
        max_seconds: A share is skipped, and so are larger ones, where twice the time of the share
            before would exceed this in all.
        rng: Draws whom to judge by, and who is of which share.
        clock: Gives seconds.
    """
    judging, order, *fits = rng.spawn(2 + len(SHARES))
    judged = _some(readers, judging)
    known = np.flatnonzero(np.diff(data.interactions.matrix.indptr))
    known = order.permutation(known)
    points: list[Point] = []
    began = clock()
    needed = 0.0
    for share, fit_rng in zip(SHARES, fits, strict=True):
        if clock() - began + needed > max_seconds:
            break
        started = clock()
        chosen = known[: max(1, round(share * len(known)))]
        model = type(whole)(whole.config).fit(of_readers(data, chosen), rng=fit_rng)
        points.append(_judged(model, data, judged, share, len(chosen)))
        needed = 2 * (clock() - started)
    skipped = SHARES[len(points) :]
    points.append(_judged(whole, data, judged, 1.0, len(known)))
    return LearningCurve(whole.name, len(judged), tuple(points), skipped)


def of_readers(data: TrainingData, user_nums: npt.NDArray[np.integer]) -> TrainingData:
    """The same vocabularies and books, but only these readers have a history."""
    matrix, days = data.interactions.matrix, data.interactions.days
    chosen = np.zeros(matrix.shape[0], np.bool_)
    chosen[user_nums] = True
    counts = np.diff(matrix.indptr)
    rows = np.repeat(chosen, counts)
    indptr = np.concatenate([[0], np.cumsum(np.where(chosen, counts, 0))]).astype(np.int64)
    kept = sparse.csr_array((matrix.data[rows], matrix.indices[rows], indptr), shape=matrix.shape)
    return replace(data, interactions=Interactions(kept, None if days is None else days[rows]))


def _some(readers: Holdout, rng: np.random.Generator) -> Holdout:
    chosen = np.sort(rng.permutation(len(readers))[:MAX_JUDGED])
    return Holdout(
        [readers.histories[i] for i in chosen],
        [readers.relevant[i] for i in chosen],
        readers.user_nums[chosen],
    )


def _judged(
    model: Recommender, data: TrainingData, judged: Holdout, share: float, n_readers: int
) -> Point:
    interactions = data.interactions
    popularity = np.bincount(interactions.matrix.indices, minlength=interactions.n_books)
    # The same draws for every point: they differ by the model alone.
    rng = np.random.default_rng(0)
    with threadpool_limits(1, "blas"):  # one reader at a time is too little work for more
        found = evaluate(model, judged, n_books=len(popularity), popularity=popularity, rng=rng)
    return Point(share, n_readers, found.metrics["ndcg_at_10"], *found.intervals["ndcg_at_10"])
