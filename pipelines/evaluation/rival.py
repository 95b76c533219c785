"""A model of another run, asked about the readers and books of this one."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pipelines.data.dataset import Dataset
from pipelines.data.interactions import History, Vocabulary
from pipelines.data.splits import Part
from pipelines.evaluation.protocol import Holdout
from pipelines.models.base import RankedBooks, Recommender, Scores, rank


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

    def score(self, history: History) -> Scores:
        """Scores as the model gives them; -inf for books it does not know."""
        nums = self._nums[history.book_nums]
        said = self._model.score(History(nums[nums >= 0], history.weights[nums >= 0]))
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
