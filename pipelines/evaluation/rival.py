"""A model of another run, asked about the readers and books of this one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipelines.data.dataset import Dataset
from pipelines.data.interactions import History, Vocabulary
from pipelines.data.splits import Part
from pipelines.evaluation import metrics
from pipelines.evaluation.bootstrap import Difference, paired_difference
from pipelines.evaluation.protocol import Evaluation, Holdout
from pipelines.models.base import RankedBooks, Recommender, Scores, rank


@dataclass(frozen=True)
class Pair:
    """The same measured of both."""

    challenger: float
    champion: float

    @property
    def ratio(self) -> float:
        """What the challenger has of the champion's; 1 where that is nothing."""
        return self.challenger / self.champion if self.champion else 1.0


@dataclass(frozen=True)
class AgainstChampion:
    """Challenger less champion, over the readers that are fair to both."""

    version: int
    """The champion's."""
    gain: Difference
    """Of NDCG@10."""
    slices: Mapping[str, Difference]
    """The same within each slice that has such readers."""
    coverage_at_10: Pair
    milliseconds: Pair
    """Median of one list."""


@dataclass(frozen=True)
class NotCompared:
    """A champion that a challenger cannot be compared with, and why."""

    version: int
    reason: str


def compare_with_champion(
    challenger: Evaluation,
    champion: Evaluation,
    fair: npt.NDArray[np.intp],
    *,
    version: int,
    gain: Difference,
    milliseconds: Pair,
    n_books: int,
    rng: np.random.Generator,
) -> AgainstChampion:
    """
    Put together how two models do for the same readers.

    Args:
        challenger: Over all readers.
        champion: Over those at `fair`, in that order.
        fair: Places of readers.
        version: The champion's.
        gain: As it stands among the challenger's other comparisons.
        milliseconds: Of a list.
        n_books: Size of the catalogue.
        rng: For the bootstrap of the intervals.
    """
    lists = challenger.books[fair, :10], champion.books[:, :10]
    shares = (metrics.coverage(metrics.recommendation_counts(one, n_books)) for one in lists)
    return AgainstChampion(
        version=version,
        gain=gain,
        slices={
            name: paired_difference(ours[known], theirs[known], rng=rng)
            for name, found in champion.found.items()
            for ours, theirs in [(challenger.found[name].ndcg_at_10[fair], found.ndcg_at_10)]
            for known in [~np.isnan(theirs)]
        },
        coverage_at_10=Pair(*shares),
        milliseconds=milliseconds,
    )


class Translated:
    """
    A fitted model that is spoken to in the words of another vocabulary.

    What its own vocabulary does not have it is not told, and says nothing of.
    """

    def __init__(self, model: Recommender, theirs: Vocabulary, ours: Vocabulary) -> None:
        """
        Args:
            model: Fitted on the books of `theirs`.
            theirs: The vocabulary that it learnt with.
            ours: The one that it is asked in.
        """
        self.name = model.name
        self._model = model
        self._nums = theirs.nums(ours.ids(np.arange(len(ours), dtype=np.int32)))
        self._known = np.flatnonzero(self._nums >= 0)

    def told(self, history: History) -> History:
        """A history in the model's own words."""
        nums = self._nums[history.book_nums]
        return History(nums[nums >= 0], history.weights[nums >= 0])

    def score(self, history: History) -> Scores:
        """Scores as the model gives them; -inf for books it does not know."""
        said = self._model.score(self.told(history))
        scores = np.full(len(self._nums), -np.inf, np.float32)
        scores[self._known] = said[self._nums[self._known]]
        return scores

    def recommend(self, histories: Sequence[History], n: int) -> list[RankedBooks]:
        """At most `n` unmet books for each history."""
        return [rank(self.score(history), n, history.book_nums) for history in histories]


def fair_readers(
    readers: Holdout, ours: Dataset, theirs: Dataset, learnt: tuple[Part, ...]
) -> npt.NDArray[np.bool_]:
    """
    Which readers have nothing to find that a model of another run has learnt from.

    Args:
        readers: Of `ours`.
        ours: The data of this run.
        theirs: The data of the other one.
        learnt: The parts of `theirs` that its model knows.

    Returns:
        Shape (len(readers),).
    """
    owners = np.repeat(np.arange(len(readers)), [len(books) for books in readers.relevant])
    wanted = np.concatenate([np.empty(0, np.int32), *readers.relevant])
    user_nums = theirs.users.nums(ours.users.ids(readers.user_nums.astype(np.int32)))[owners]
    book_nums = theirs.books.nums(ours.books.ids(wanted))
    known = np.isin(theirs.parts, learnt)
    stride = np.int64(len(theirs.books))
    pairs = theirs.user_nums[known] * stride + theirs.book_nums[known]
    learnt_already = np.isin(user_nums * stride + book_nums, pairs)
    learnt_already &= (user_nums >= 0) & (book_nums >= 0)
    fair = np.ones(len(readers), np.bool_)
    fair[owners[learnt_already]] = False
    return fair
