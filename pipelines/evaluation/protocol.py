"""
How a model is judged: it ranks the whole catalogue for each reader, never a sample of it.

Sampled candidates can reverse which of two models is better [Krichene & Rendle 2022,
doi 10.1145/3535335].
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse

from pipelines.data.interactions import History, Interactions
from pipelines.errors import DataError, ModelError
from pipelines.evaluation import metrics, slices
from pipelines.evaluation.bootstrap import interval
from pipelines.evaluation.slices import Found, Mask, Slice
from pipelines.models.base import BookNums, RankedBooks, Recommender
from pipelines.models.documents import FieldWeights, document_matrix

LIST_LENGTH = 20
"""The longest cut-off; shorter ones look at the same lists."""
BATCH_READERS = 256
PROBED_READERS = 16
"""How many are looked at for scores that are no numbers, which `rank` would quietly leave out."""
SUBJECT_WORDS = 1_000_000
"""All of them: a rare author says as much of a book as a prolific one."""


@dataclass(frozen=True)
class Holdout:
    """Readers with at least one relevant book, ascending by user_num; parallel sequences."""

    histories: list[History]
    relevant: list[npt.NDArray[np.int32]]
    """Liked held-out books that the history does not hold, ascending."""
    user_nums: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.user_nums)

    def take(self, places: npt.NDArray[np.integer]) -> "Holdout":
        """The readers at these places, ascending."""
        return Holdout(
            [self.histories[i] for i in places],
            [self.relevant[i] for i in places],
            self.user_nums[places],
        )


@dataclass(frozen=True)
class BookFacts:
    """What the catalogue tells of the books, parallel to the vocabulary."""

    kinds: Mapping[str, Mask] = field(default_factory=dict)
    """Slices of books, by name."""
    subjects: sparse.csr_array | None = None
    """Genres and authors as rows of length 1, shape (n_books, n_words); for diversity."""

    @classmethod
    def of(cls, catalogue: pd.DataFrame, popularity: npt.NDArray[np.integer]) -> "BookFacts":
        """From a catalogue in vocabulary order and the training interactions of each book."""
        return cls(slices.book_slices(catalogue, popularity), _subjects(catalogue))


NO_FACTS = BookFacts()


class Ranks(Protocol):
    """What can be measured: whatever ranks books for histories."""

    name: str

    def recommend(self, histories: Sequence[History], n: int) -> list[RankedBooks]:
        """As `Recommender.recommend`."""


@dataclass(frozen=True)
class Evaluation:
    """What was measured."""

    metrics: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    """95 % bounds of each metric that is a mean over readers."""
    per_reader: pd.DataFrame
    """Columns user_num, ndcg_at_10, recall_at_20, n_history, n_liked, n_relevant."""
    books: BookNums
    """The lists, parallel to `per_reader`: shape (Q, 20), -1 where a list has ended."""
    slices: dict[str, Slice]
    """By kind of reader and of book; a slice without readers is left out."""
    found: dict[str, Found]
    """By slice, what `slices` was measured of."""


def holdout(
    history: Interactions,
    heldout: Interactions,
    *,
    max_readers: int | None = None,
    rng: np.random.Generator,
) -> Holdout:
    """
    The readers to judge by, all that can be or `max_readers` drawn by chance.

    Args:
        history: What models are told of each reader.
        heldout: What they have to find; of the same vocabularies.
        max_readers: Bounds the time of an evaluation.
        rng: Drawn from only where there are more readers than that.
    """
    if history.matrix.shape != heldout.matrix.shape:
        raise ValueError(
            f"history and heldout must share vocabularies: "
            f"{history.matrix.shape} and {heldout.matrix.shape}"
        )
    liked = _pairs(heldout)[heldout.matrix.data > 0]
    pairs = np.setdiff1d(liked, _pairs(history))
    readers, starts = np.unique(pairs // history.n_books, return_index=True)
    relevant = np.split((pairs % history.n_books).astype(np.int32), starts[1:])
    chosen = np.arange(len(readers))
    if max_readers is not None and max_readers < len(readers):
        chosen = np.sort(rng.choice(len(readers), max_readers, replace=False))
    return Holdout(
        history.histories(readers[chosen]), [relevant[i] for i in chosen], readers[chosen]
    )


def evaluate(
    model: Ranks | Recommender,
    holdout: Holdout,
    *,
    n_books: int,
    popularity: npt.NDArray[np.integer],
    facts: BookFacts = NO_FACTS,
    rng: np.random.Generator,
) -> Evaluation:
    """
    Measure a fitted model.

    Args:
        model: Asked for lists of 20 books, in batches.
        holdout: Readers, what the model is told of them, and what it has to find.
        n_books: Size of the catalogue.
        popularity: Training interactions of each book, shape (n_books,); for novelty.
        facts: Without them there are no slices of books and no diversity.
        rng: For the bootstrap of the intervals.

    Raises:
        DataError: there is no reader to judge by.
        ModelError: the model recommended a book already met, a book twice, or an unknown one, or
            its scores are not finite or ascend.
    """
    if not len(holdout):
        raise DataError(
            "no reader has a liked held-out book to find: "
            "give more ratings or hold out a larger share"
        )
    if popularity.shape != (n_books,):
        raise ValueError(f"popularity must have shape ({n_books},), not {popularity.shape}")
    if isinstance(model, Recommender):  # lists from elsewhere come without the scores behind them
        _probe(model, holdout.histories)
    ranked, seconds = _ask(model, holdout.histories, n_books)
    books = metrics.book_matrix(ranked, LIST_LENGTH)
    hits = metrics.hit_matrix(ranked, holdout.relevant, LIST_LENGTH)
    n_relevant = np.array([len(relevant) for relevant in holdout.relevant])
    readers = _accuracy(hits, n_relevant)
    known_of = slices.reader_slices(holdout.histories)
    found = slices.found_in_slices(hits, books, holdout.relevant, known_of, facts.kinds)
    return Evaluation(
        metrics={name: float(values.mean()) for name, values in readers.items()}
        | _beyond_accuracy(books[:, :10], popularity, facts)
        | {
            "n_readers": float(len(holdout)),
            "seconds_per_1000_readers": 1000 * seconds / len(holdout),
        },
        intervals={name: interval(values, rng=rng) for name, values in readers.items()},
        per_reader=_per_reader(holdout, n_relevant, readers),
        books=books,
        slices={name: one.measured(rng) for name, one in found.items()},
        found=found,
    )


def _pairs(interactions: Interactions) -> npt.NDArray[np.int64]:
    """Each (reader, book) as the number reader * n_books + book."""
    matrix = interactions.matrix
    readers = np.repeat(np.arange(interactions.n_readers, dtype=np.int64), np.diff(matrix.indptr))
    return readers * interactions.n_books + matrix.indices


def _subjects(catalogue: pd.DataFrame) -> sparse.csr_array:
    # Blanked, because a field of no weight is read all the same, and descriptions are long.
    told = catalogue.assign(title=None, series=None, description=None)
    weights = FieldWeights(title=0, series=0, description=0, genres=1, authors=1)
    return metrics.unit_rows(document_matrix(told, weights, SUBJECT_WORDS))


def _probe(model: Recommender, histories: Sequence[History]) -> None:
    """Refuse scores of NaN or +inf; -inf says that the model has nothing to say of a book."""
    for at in np.unique(np.linspace(0, len(histories) - 1, PROBED_READERS).astype(np.int64)):
        scores = model.score(histories[at])
        if np.isnan(scores).any() or np.isposinf(scores).any():
            raise ModelError(f"{model.name} gives scores that are NaN or infinite")


def _ask(
    model: Ranks | Recommender, histories: Sequence[History], n_books: int
) -> tuple[list[RankedBooks], float]:
    """A list for each history, and the seconds the model took."""
    ranked: list[RankedBooks] = []
    seconds = 0.0
    for start in range(0, len(histories), BATCH_READERS):
        batch = histories[start : start + BATCH_READERS]
        began = time.perf_counter()
        answer = model.recommend(batch, LIST_LENGTH)
        seconds += time.perf_counter() - began
        _check_lists(model.name, answer, batch, n_books)
        ranked += answer
    return ranked, seconds


def _check_lists(
    model: str, ranked: Sequence[RankedBooks], histories: Sequence[History], n_books: int
) -> None:
    """Refuse lists that would make the measurement worthless: better no number than a wrong one."""
    if len(ranked) != len(histories):
        raise ModelError(f"{model} gave {len(ranked)} lists for {len(histories)} histories")
    if any(len(one) > LIST_LENGTH for one in ranked):
        raise ModelError(f"{model} gave more than the {LIST_LENGTH} books it was asked for")
    every = np.concatenate([one.book_nums for one in ranked])
    if ((every < 0) | (every >= n_books)).any():
        raise ModelError(f"{model} recommended a book_num outside the catalogue of {n_books}")
    ordered = np.sort(metrics.book_matrix(ranked, LIST_LENGTH), axis=1)
    if ((np.diff(ordered, axis=1) == 0) & (ordered[:, 1:] != metrics.NO_BOOK)).any():
        raise ModelError(f"{model} recommended a book twice in one list")
    if metrics.hit_matrix(ranked, [h.book_nums for h in histories], LIST_LENGTH).any():
        raise ModelError(f"{model} recommended a book that the reader has already met")
    _check_scores(model, ranked)


def _check_scores(model: str, ranked: Sequence[RankedBooks]) -> None:
    if any(len(one.scores) != len(one) for one in ranked):
        raise ModelError(f"{model} gave a list with more or fewer scores than books")
    scores = np.concatenate([one.scores for one in ranked])
    if not np.isfinite(scores).all():
        raise ModelError(f"{model} ranked books by scores that are NaN or infinite")
    lists = np.repeat(np.arange(len(ranked)), [len(one) for one in ranked])
    if ((np.diff(scores) > 0) & (np.diff(lists) == 0)).any():
        raise ModelError(f"{model} gave a list whose scores ascend")


def _accuracy(hits: metrics.Hits, n_relevant: metrics.Counts) -> dict[str, metrics.PerReader]:
    top_10 = hits[:, :10]
    return {
        "ndcg_at_10": metrics.ndcg(top_10, n_relevant),
        "ndcg_at_20": metrics.ndcg(hits, n_relevant),
        "recall_at_10": metrics.recall(top_10, n_relevant),
        "recall_at_20": metrics.recall(hits, n_relevant),
        "precision_at_10": metrics.precision(top_10),
        "map_at_10": metrics.average_precision(top_10, n_relevant),
        "mrr_at_10": metrics.reciprocal_rank(top_10),
        "hit_rate_at_10": metrics.hit_rate(top_10),
    }


def _beyond_accuracy(
    books: BookNums, popularity: npt.NDArray[np.integer], facts: BookFacts
) -> dict[str, float]:
    counts = metrics.recommendation_counts(books, len(popularity))
    measured = {
        "coverage_at_10": metrics.coverage(counts),
        "gini_at_10": metrics.gini(counts),
        "novelty_at_10": metrics.novelty(counts, popularity),
    }
    if facts.subjects is None:
        return measured
    diversity = metrics.diversity(books, facts.subjects)
    return measured if diversity is None else measured | {"diversity_at_10": diversity}


def _per_reader(
    holdout: Holdout, n_relevant: metrics.Counts, readers: dict[str, metrics.PerReader]
) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "user_num": holdout.user_nums,
            "ndcg_at_10": readers["ndcg_at_10"],
            "recall_at_20": readers["recall_at_20"],
            "n_history": [len(history) for history in holdout.histories],
            "n_liked": [int((history.weights > 0).sum()) for history in holdout.histories],
            "n_relevant": n_relevant,
        }
    )
