"""
The contract every model keeps.

Models speak of books by `book_num`, the dense position in the training vocabulary; only
`Vocabulary` translates. A reader is their history: nothing is stored per reader, so a reader
unknown at training time needs no special path, and the same history gives the same list anywhere.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self, runtime_checkable

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from pipelines.data.interactions import History, TrainingData
from pipelines.errors import NotFittedError
from pipelines.models.kernels import native

Scores = npt.NDArray[np.float32]
"""Shape (n_books,); -inf where the model has nothing to say about a book."""

ScoreMatrix = npt.NDArray[np.float32]
"""Shape (n_readers, n_books); -inf where nothing is said."""


class ModelConfig(BaseModel):
    """Hyperparameters of one model: frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


@dataclass(frozen=True)
class Range:
    """Values of a hyperparameter that are worth trying, bounds included."""

    low: float
    high: float
    log: bool = False
    """Whether ratios matter rather than differences."""
    integer: bool = False


@dataclass(frozen=True)
class Choice:
    """Values of a hyperparameter that have no order."""

    values: tuple[str | float | bool, ...]


SearchSpace = Mapping[str, Range | Choice]
"""By name of a field of the model's config."""

READERS_AT_ONCE = 16
"""Scored together: it saves time, more would save hardly any, and memory is bounded by them."""

BookNums = npt.NDArray[np.int32]


@dataclass(frozen=True)
class RankedBooks:
    """Best first; scores never ascend; ties stand in ascending book_num."""

    book_nums: BookNums
    scores: Scores

    def __len__(self) -> int:
        return len(self.book_nums)

    def after(self, skip: int) -> "RankedBooks":
        """Without the first `skip` books."""
        return RankedBooks(self.book_nums[skip:], self.scores[skip:])


class Recommender(ABC):
    """
    A model that ranks books for a history.

    The constructor only stores its config. Learnt attributes end in an underscore, and a second
    `fit` forgets the first; asking for one before the first `fit` raises NotFittedError.
    """

    name: ClassVar[str]
    config_class: ClassVar[type[ModelConfig]]
    search_space: ClassVar[SearchSpace] = {}
    """What tuning may change; empty for a model that has nothing to tune."""
    learns_from_readers: ClassVar[bool] = True
    """False for a model of the catalogue alone: whatever rows are held out, it is the same."""
    scores_new_books: ClassVar[bool] = False
    """
    True for a model that reads the catalogue, and so can score a book that nobody has met; of
    others, silence about such a book says nothing.
    """
    config: ModelConfig

    def __init__(self, config: ModelConfig) -> None:
        self.config = config

    if not TYPE_CHECKING:  # or mypy would take every misspelt attribute for a learnt one

        def __getattr__(self, name: str) -> Any:
            # Reached only for what is not there, and a learnt attribute is not there before `fit`.
            if name.endswith("_") and not name.startswith("_"):
                raise NotFittedError(type(self).__name__)
            raise AttributeError(f"{type(self).__name__} has no attribute {name}")

    @abstractmethod
    def fit(self, data: TrainingData, *, rng: np.random.Generator) -> Self:
        """Learn from `data`; all randomness comes from `rng`."""

    @abstractmethod
    def score(self, history: History) -> Scores:
        """
        Score every book of the vocabulary for one history.

        Returns a fresh array that the caller may change. The result depends on this history
        alone, never on what else is asked in the same batch.
        """

    def score_many(self, histories: Sequence[History]) -> ScoreMatrix:
        """
        The scores of several histories, a row each; bit for bit what `score` gives for each.

        A model overrides it where it is faster together.
        """
        rows = [self.score(history) for history in histories]
        return rows[0][np.newaxis] if len(rows) == 1 else np.stack(rows)

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write the fitted model into `folder`, which must not exist yet."""

    @classmethod
    @abstractmethod
    def load(cls, folder: Path) -> Self:
        """
        Open a saved model; large arrays are memory-mapped and read-only.

        Raises:
            ArtifactError: missing, of another format, or failing its checksum.
        """

    def recommend(
        self, histories: Sequence[History], n: int, *, exclude_seen: bool = True
    ) -> list[RankedBooks]:
        """Rank at most `n` books for each history; a list is shorter where less is known."""
        ranked: list[RankedBooks] = []
        for start in range(0, len(histories), READERS_AT_ONCE):
            some = histories[start : start + READERS_AT_ONCE]
            for scores, history in zip(self.score_many(some), some, strict=True):
                ranked.append(rank(scores, n, history.book_nums if exclude_seen else None))
        return ranked


@runtime_checkable
class FindsSimilarBooks(Protocol):
    """Models that also know which books stand near a book."""

    def similarity(self, book_num: int) -> Scores:
        """Similarity of every book to `book_num`; -inf where unknown and for the book itself."""


@runtime_checkable
class ExplainsScores(Protocol):
    """Models that can say which liked books carry a score."""

    def contributions(self, history: History, book_nums: BookNums) -> npt.NDArray[np.float32]:
        """
        How much each book of `history.liked` adds to the scores of some books.

        Shape (len(book_nums), n_liked), in the order of `history.liked`; comparable within one
        row only.
        """


@runtime_checkable
class SearchesText(Protocol):
    """Models that find books by what is written about them."""

    def search(self, text: str, n: int) -> RankedBooks:
        """The `n` books that fit `text` best; empty where it says nothing that is known."""


@runtime_checkable
class KeepsReaders(Protocol):
    """Models that keep rows of the readers they learnt from, in the order of `user_num`."""

    def without_reader(self, user_num: int) -> Self:
        """The same model without one of the rows; readers after it move up."""


def rank(scores: Scores, n: int, excluded: BookNums | None = None) -> RankedBooks:
    """
    The `n` best finite scores, best first, ties by ascending book_num.

    Args:
        scores: Shape (n_books,); changed in place where `excluded` is given.
        n: Longest list wanted, at least 1.
        excluded: book_nums that must not appear.
    """
    if n < 1:
        raise ValueError(f"n must be at least 1, not {n}")
    if excluded is not None:
        scores[excluded] = -np.inf
    book_nums = native.best(scores, n)
    return RankedBooks(book_nums, scores[book_nums])
