"""
How the scores of different models are put on one scale, and what weight each deserves.

Weights are learnt by stacking [Wolpert 1992, doi 10.1016/S0893-6080(05)80023-1] with a conditional
logit [McFadden 1974]: of the books that any model would show, those found relevant in held-out rows
are to get the highest weighted sums. It is convex, and its few weights can be read.
"""

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipelines.data.interactions import History
from pipelines.models.base import BookNums, Recommender, Scores, rank
from pipelines.models.kernels import native

CUTOFF = 10
CANDIDATES = 20
"""Books of each part that a reader chooses from: learning from the far tail of lists was worse."""
HISTORY_LENGTHS = (1, 5, 20, 100)
"""Number of liked books from which on a reader gets the weights of a bucket."""
READERS_PER_BUCKET = 300
START = 2.0
"""Where each weight starts, and stays without evidence; weights come out between 0 and 10 or so."""
PRIOR = 2.0
"""How much evidence it takes to leave the start, in readers, roughly."""

Matrix = npt.NDArray[np.float32]
Vector = npt.NDArray[np.float64]
Books = npt.NDArray[np.integer]


@dataclass(frozen=True)
class BlendResult:
    """The weights that told held-out books best, and what they reached."""

    weights: dict[str, float]
    """For any reader; non-negative, sum to 1."""
    by_history: dict[int, dict[str, float]]
    """For readers of at least so many liked books, ascending; sums as above."""
    ndcg_at_10: float
    """Mean over the readers it was learnt from, with these; and so a little too kind."""
    by_part: dict[str, float]
    """The same for each part alone."""


@dataclass(frozen=True)
class _Case:
    """One reader: candidate books, what each part says of them, which were found relevant."""

    features: Matrix  # (n_candidates, n_parts)
    gains: Matrix  # (n_candidates,), 1 where relevant
    ideal: float  # DCG of the best possible list
    n_liked: int


def normalised(scores: Scores, seen: BookNums | None = None) -> Scores | None:
    """
    Scores between 0 and 1: the root of where they lie between a model's least and most.

    The least and the most are those of books not in `seen`: books already met must not set the
    scale, for they tend to have the highest scores. The root keeps the first few books of a list
    from outshouting the rest; it was better than none on every data set tried.

    Returns:
        0 where the model has nothing to say; None where it has nothing to say of any unseen book.
    """
    seen = np.empty(0, np.int32) if seen is None else seen
    unit = np.empty((1, len(scores)), np.float32)
    told = native.blend([scores], [[1.0]], [False], [seen], silence=0, out=unit)
    return unit[0] if told else None


def fit_blend(
    parts: Mapping[str, Recommender],
    histories: Sequence[History],
    relevant: Sequence[Books],
    *,
    rng: np.random.Generator,
) -> BlendResult:
    """
    Weights of the parts for any reader, and for readers of few, more and many books.

    A bucket learns from readers whose history is cut to its length, newest books last, so that it
    is known what newcomers need even where every reader at hand has a long history. Its weights
    start from those for any reader, and stay near them where evidence is thin.

    Args:
        parts: Fitted models, by name.
        histories: What the parts are told of each reader.
        relevant: book_nums to find, parallel to `histories`; readers without any teach nothing.
        rng: Draws who is cut, and where.
    """
    names = sorted(parts)
    models = [parts[name] for name in names]
    readers = [(h, r) for h, r in zip(histories, relevant, strict=True) if len(r)]
    cases = _cases(models, ((h, h, r) for h, r in readers))
    overall = _fitted(cases, np.full(len(names), START))
    buckets = {
        low: _fitted(_cases(models, _cut(readers, low, high, rng)), overall)
        for low, high in _bounds()
    }
    alone = [_mean_ndcg(cases, [part] * len(cases)) for part in np.eye(len(names))]
    used = [buckets.get(bucket_of(case.n_liked, buckets), overall) for case in cases]
    return BlendResult(
        weights=_named(names, overall),
        by_history={low: _named(names, weights) for low, weights in buckets.items()},
        ndcg_at_10=_mean_ndcg(cases, used),
        by_part=dict(zip(names, alone, strict=True)),
    )


def bucket_of(n_liked: int, buckets: Iterable[int]) -> int:
    """The largest of `buckets` that `n_liked` reaches; 0 if it reaches none."""
    return max((low for low in buckets if low <= n_liked), default=0)


def _bounds() -> list[tuple[int, int]]:
    """Least and most liked books of each bucket."""
    most = [at_least - 1 for at_least in HISTORY_LENGTHS[1:]]
    return list(zip(HISTORY_LENGTHS, [*most, sys.maxsize], strict=True))


def _cut(
    readers: Sequence[tuple[History, Books]], low: int, high: int, rng: np.random.Generator
) -> Iterator[tuple[History, History, Books]]:
    """Cut and whole histories of some readers, with `low` to `high` liked books left in each."""
    enough = [reader for reader in readers if len(reader[0].liked) >= low]
    chosen = rng.permutation(len(enough))[:READERS_PER_BUCKET]
    for history, relevant in (enough[i] for i in chosen):
        n_liked = int(rng.integers(low, min(high, len(history.liked)), endpoint=True))
        yield history.newest(n_liked), history, relevant


def _cases(
    models: Sequence[Recommender], readers: Iterable[tuple[History, History, Books]]
) -> list[_Case]:
    """What there is to learn from readers: what models are told, all they met, what to find."""
    cases = (_case(models, *reader) for reader in readers)
    return [case for case in cases if case is not None]


def _case(
    models: Sequence[Recommender], told: History, met: History, relevant: Books
) -> _Case | None:
    said = [normalised(model.score(told), met.book_nums) for model in models]
    spoken = [scores for scores in said if scores is not None]
    if not spoken:
        return None
    top = [rank(scores.copy(), CANDIDATES, met.book_nums).book_nums for scores in spoken]
    candidates = np.unique(np.concatenate(top))
    silent = np.zeros(len(candidates), np.float32)
    features = [silent if scores is None else scores[candidates] for scores in said]
    gains = np.isin(candidates, relevant).astype(np.float32)
    ideal = float(_discounts(len(relevant)).sum())
    return _Case(np.column_stack(features), gains, ideal, len(told.liked))


def _fitted(cases: Sequence[_Case], start: Vector) -> Vector:
    """The most likely non-negative weights, under a normal prior around `start`."""
    telling = [case for case in cases if case.gains.any()]
    if not telling:
        return start
    features = np.concatenate([case.features for case in telling]).astype(np.float64)
    # Each reader counts as one, however many of their books can be found.
    gains = np.concatenate([case.gains / case.gains.sum() for case in telling])
    starts = np.cumsum([0] + [len(case.gains) for case in telling[:-1]])
    readers = np.repeat(np.arange(len(telling)), [len(case.gains) for case in telling])

    def loss(weights: Vector) -> tuple[float, Vector]:
        sums = features @ weights
        sums -= np.maximum.reduceat(sums, starts)[readers]
        odds = np.exp(sums)
        totals = np.add.reduceat(odds, starts)[readers]
        off = weights - start
        value = float(gains @ (np.log(totals) - sums) + PRIOR * (off @ off))
        return value, (odds / totals - gains) @ features + 2 * PRIOR * off

    from scipy.optimize import minimize  # a fifth of what the service would wait for at its start

    bounds = [(0, None)] * len(start)
    return minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds).x


def _named(names: Sequence[str], weights: Vector) -> dict[str, float]:
    """Shares of the sum; even where nothing has any weight."""
    total = weights.sum()
    shares = weights / total if total > 0 else np.full(len(names), 1 / len(names))
    return {name: round(float(share), 6) for name, share in zip(names, shares, strict=True)}


def _mean_ndcg(cases: Sequence[_Case], weights: Sequence[Vector]) -> float:
    """Mean NDCG@10 of the candidates in the order of their weighted sums; 0 without cases."""
    values = [_ndcg(case, one) for case, one in zip(cases, weights, strict=True)]
    return float(np.mean(values)) if values else 0.0


def _ndcg(case: _Case, weights: Vector) -> float:
    sums = case.features @ weights
    # Candidates ascend by book_num, so a stable sort breaks ties as `rank` does.
    order = np.argsort(-sums, kind="stable")[:CUTOFF]
    order = order[sums[order] > 0]  # of the others nobody has said anything
    return float(case.gains[order] @ _discounts(len(order))) / case.ideal


def _discounts(n: int) -> Vector:
    return 1 / np.log2(np.arange(2, min(n, CUTOFF) + 2))
