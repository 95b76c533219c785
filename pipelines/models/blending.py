"""How the scores of different models are put on one scale, and what weight each deserves."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipelines.data.interactions import History
from pipelines.models.base import Recommender, Scores, rank

CUTOFF = 10
CANDIDATES = 200
"""Books of each part that a blend may reach; what stands lower rarely gets into ten."""
COARSE_STEPS = 10
FINE_STEPS = 20

Matrix = npt.NDArray[np.float32]


@dataclass(frozen=True)
class BlendResult:
    """The weights that ranked held-out books best, and what they reached."""

    weights: dict[str, float]
    """Non-negative, sum to 1."""
    ndcg_at_10: float
    """Mean over the readers it was chosen on, and so a little too kind."""
    by_part: dict[str, float]
    """The same for each part alone."""


@dataclass(frozen=True)
class _Case:
    """One reader: candidate books, what each part says of them, which were found relevant."""

    features: Matrix  # (n_candidates, n_parts)
    gains: Matrix  # (n_candidates,), 1 where relevant
    ideal: float  # DCG of the best possible list


def normalised(scores: Scores, seen: npt.NDArray[np.int32] | None = None) -> Scores | None:
    """
    Scores between 0 and 1: the least and the most a model says of any book not in `seen`.

    Returns:
        0 where the model has nothing to say; None where it has nothing to say of any unseen book.

    Notes:
        Measured on held-out ratings against division by the maximum, z-scores, the first 50, 200
        or 1000 books alone, and ranks: none was better by more than chance, most were worse.
        Books already met must not set the scale, for they tend to have the highest scores.
    """
    spoken = np.isfinite(scores)
    unseen = spoken.copy()
    if seen is not None:
        unseen[seen] = False
    if not unseen.any():
        return None
    low = scores.min(where=unseen, initial=np.inf)
    high = scores.max(where=unseen, initial=-np.inf)
    if low == high:
        return spoken.astype(np.float32)
    return np.clip((scores - low) / (high - low), 0, 1)


def fit_blend(
    parts: Mapping[str, Recommender],
    histories: Sequence[History],
    relevant: Sequence[npt.NDArray[np.integer]],
) -> BlendResult:
    """
    The weights of the parts with the best mean NDCG@10: a grid of step 0.1, then 0.05 around it.

    Args:
        parts: Fitted models, by name.
        histories: What the parts are told of each reader.
        relevant: book_nums to find, parallel to `histories`; readers without any are left out.

    Returns:
        Among equally good weights the most even ones; so even ones where there is no reader.
    """
    readers = [i for i, books in enumerate(relevant) if len(books)]
    names = sorted(parts)
    cases = [
        case
        for reader in readers
        if (case := _case([parts[n] for n in names], histories[reader], relevant[reader]))
    ]
    best = _best(_simplex(len(names), COARSE_STEPS), cases)
    fine = _simplex(len(names), FINE_STEPS)
    best = _best(fine[np.abs(fine - best).max(axis=1) < 1.5 / COARSE_STEPS], cases)
    alone = _mean_ndcg(np.eye(len(names), dtype=np.float32), cases)
    return BlendResult(
        weights={name: round(float(w), 6) for name, w in zip(names, best, strict=True)},
        ndcg_at_10=float(_mean_ndcg(best[np.newaxis], cases)[0]),
        by_part={name: float(value) for name, value in zip(names, alone, strict=True)},
    )


def _case(
    parts: Sequence[Recommender], history: History, relevant: npt.NDArray[np.integer]
) -> _Case | None:
    said = [normalised(part.score(history), history.book_nums) for part in parts]
    spoken = [scores for scores in said if scores is not None]
    if not spoken:
        return None
    top = [rank(scores.copy(), CANDIDATES, history.book_nums).book_nums for scores in spoken]
    candidates = np.unique(np.concatenate(top))
    silent = np.zeros(len(candidates), np.float32)
    features = [silent if scores is None else scores[candidates] for scores in said]
    gains = np.isin(candidates, relevant).astype(np.float32)
    return _Case(np.column_stack(features), gains, float(_discounts(len(relevant)).sum()))


def _best(grid: Matrix, cases: Sequence[_Case]) -> Matrix:
    """The row of the grid with the highest mean NDCG, the first of equals."""
    return grid[int(np.argmax(_mean_ndcg(grid, cases)))]


def _mean_ndcg(grid: Matrix, cases: Sequence[_Case]) -> npt.NDArray[np.float64]:
    """Mean NDCG@10 of each row of weights, shape (n_rows,); 0 without cases."""
    total = np.zeros(len(grid))
    for case in cases:
        scores = grid @ case.features.T
        total += _dcg(scores, case.gains) / case.ideal
    return total / max(len(cases), 1)


def _dcg(scores: Matrix, gains: Matrix) -> npt.NDArray[np.float64]:
    """DCG@10 of each row of scores over the same candidates."""
    k = min(CUTOFF, scores.shape[1])
    # Candidates ascend by book_num: less than a float32 can tell makes ties fall as in `rank`.
    ordered = scores.astype(np.float64) - 1e-11 * np.arange(scores.shape[1])
    top = np.argpartition(-ordered, k - 1, axis=1)[:, :k]
    order = np.argsort(-np.take_along_axis(ordered, top, axis=1), axis=1)
    return gains[np.take_along_axis(top, order, axis=1)] @ _discounts(k)


def _discounts(n: int) -> npt.NDArray[np.float64]:
    return 1 / np.log2(np.arange(2, min(n, CUTOFF) + 2))


def _simplex(n_parts: int, steps: int) -> Matrix:
    """All weights that are multiples of 1/steps and sum to 1, the most even ones first."""
    grid = np.array(list(_compositions(n_parts, steps)), np.float32) / np.float32(steps)
    return grid[np.argsort((grid**2).sum(axis=1), kind="stable")]


def _compositions(n_parts: int, total: int) -> Iterator[tuple[int, ...]]:
    if n_parts == 1:
        yield (total,)
        return
    for first in range(total + 1):
        for rest in _compositions(n_parts - 1, total - first):
            yield (first, *rest)
