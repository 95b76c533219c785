"""Several models as one: each says what it knows, weighted by how well it did alone and beside."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, ClassVar, Self, TypeVar

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from pipelines.data.interactions import History, Interactions, TrainingData
from pipelines.errors import ConfigurationError
from pipelines.models.artifact import read_artifact, write_artifact
from pipelines.models.base import (
    BookNums,
    ExplainsScores,
    FindsSimilarBooks,
    KeepsReaders,
    ModelConfig,
    Recommender,
    ScoreMatrix,
    Scores,
)
from pipelines.models.blending import bucket_of
from pipelines.models.exposure import fair_thresholds, sampled, score_matrix
from pipelines.models.factory import load_model
from pipelines.models.kernels import native
from pipelines.models.kernels.memory import fresh

Part = TypeVar("Part")
Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class HybridConfig(ModelConfig):
    """The weight of each part, by name; only their ratios matter."""

    weights: dict[str, Weight]
    by_history: dict[int, dict[str, Weight]] = Field(default_factory=dict)
    """Weights for readers of at least so many liked books; for others, and books, `weights`."""
    damping: float = Field(0.0, ge=0, le=1)
    """How far lists are spread over the catalogue; see `exposure.damped`."""
    new_books: float = Field(0.0, ge=0, le=1)
    """
    What silence about a new book means, of a part that cannot know any: 0 that it does not suit the
    reader, as for other books; 1 that nothing is known.
    """

    @model_validator(mode="after")
    def _some_weight(self) -> Self:
        for weights in (self.weights, *self.by_history.values()):
            if set(weights) != set(self.weights):
                raise ValueError("all weights must be for the same parts")
            if not sum(weights.values()) > 0:
                raise ValueError("at least one part needs a weight above 0")
        return self

    def weights_for(self, n_liked: int) -> dict[str, float]:
        """The weights of a reader of so many liked books."""
        return self.by_history.get(bucket_of(n_liked, self.by_history), self.weights)


class HybridRecommender(Recommender):
    """
    Scores a book by the weighted mean of what its parts say, each normalised for the reader.

    The mean is over the parts that have something to say for this history: a newcomer's comes from
    popularity alone. A book that no part speaks of is not scored. What each book must reach to be
    shown its fair share is taken off, as far as `damping` says.

    Of a new book, which nobody has met, models of behaviour cannot know anything. Their answer is
    missing rather than no, so the mean is over the other parts; as far as `new_books` says.
    """

    name: ClassVar[str] = "hybrid"
    config_class: ClassVar[type[ModelConfig]] = HybridConfig
    config: HybridConfig
    thresholds_: Scores
    """Of `exposure.fair_thresholds`."""
    new_: BookNums
    """Books that nobody had met, ascending."""

    def __init__(self, config: HybridConfig, parts: Mapping[str, Recommender]) -> None:
        if set(config.weights) != set(parts):
            raise ConfigurationError(
                f"weights for {sorted(config.weights)} do not fit the models {sorted(parts)}"
            )
        self.config = config
        # Sorted, because sums must come out the same after saving and loading.
        self.parts = dict(sorted(parts.items()))

    def fit(self, data: TrainingData, *, rng: np.random.Generator) -> Self:
        """Fit every part; the weights stay as configured, see `blending.fit_blend`."""
        for part, part_rng in zip(self.parts.values(), rng.spawn(len(self.parts)), strict=True):
            part.fit(data, rng=part_rng)
        return self.fit_exposure(data.interactions, rng=rng)

    def fit_exposure(self, interactions: Interactions, *, rng: np.random.Generator) -> Self:
        """Learn what is needed beside fitted parts; draws from `rng` where readers are many."""
        self.fit_new_books(interactions)
        self.thresholds_ = np.zeros(interactions.n_books, np.float32)  # while they are learnt
        readers = sampled(interactions, rng)
        self.thresholds_ = fair_thresholds(score_matrix(self, readers, interactions.n_books))
        return self

    def fit_new_books(self, interactions: Interactions) -> Self:
        """Learn which books the parts, fitted on these, cannot know: enough without damping."""
        self.new_ = interactions.unmet
        return self

    def score(self, history: History) -> Scores:
        """Weighted means less what `damping` takes, in [-1, 1]; -inf where every part is silent."""
        return self.score_damped(history, self.config.damping)

    def score_many(self, histories: Sequence[History]) -> ScoreMatrix:
        return self.score_many_damped(histories, self.config.damping)

    def score_damped(self, history: History, damping: float) -> Scores:
        """The same with another damping than the configured one."""
        scores: Scores = self.score_many_damped([history], damping)[0]
        return scores

    def score_many_damped(self, histories: Sequence[History], damping: float) -> ScoreMatrix:
        """Several histories with that damping, a row each."""
        weights = np.array([self._weights(len(history.liked)) for history in histories])
        asked = np.flatnonzero(weights.any(axis=0)).tolist()
        parts = [list(self.parts.values())[num] for num in asked]
        # Nothing is shown for fitting an unknown taste.
        knobs = [damping if len(history.liked) else 0.0 for history in histories]
        said = [_said(part, histories) for part in parts]
        scores: ScoreMatrix = fresh(*said[0].shape)
        native.blend(
            said,
            weights[:, asked],
            [part.scores_new_books for part in parts],
            [history.book_nums for history in histories],
            out=scores,
            new=self.new_ if self.config.new_books else None,
            lift=self.config.new_books,
            thresholds=self.thresholds_ if any(knobs) else None,
            knobs=knobs,
        )
        return scores

    def _weights(self, n_liked: int) -> list[float]:
        """Of each part, for a reader of so many liked books."""
        weights = self.config.weights_for(n_liked)
        return [weights[name] for name in self.parts]

    def alone(self, name: str) -> "HybridRecommender":
        """One part by itself, its scores on the scale of all; nothing is spread."""
        part = HybridRecommender(HybridConfig(weights={name: 1.0}), {name: self.parts[name]})
        part.thresholds_ = np.zeros_like(self.thresholds_)
        part.new_ = self.new_
        return part

    def similarity(self, book_num: int) -> Scores:
        """Weighted means of the parts that know similar books, in [0, 1]."""
        able = {n: p for n, p in self.parts.items() if isinstance(p, FindsSimilarBooks)}
        if not able:
            return np.full_like(self.score(History.of([])), -np.inf)
        weighted = _weighted(able, self.config.weights)
        near = [part.similarity(book_num) for part, _ in weighted]
        weights = [weight for _, weight in weighted]
        scores = np.empty((1, len(near[0])), np.float32)
        native.blend(near, [weights], [False] * len(near), [np.empty(0, np.int32)], out=scores)
        return scores[0]

    @cached_property
    def _explaining(self) -> dict[str, ExplainsScores]:
        return {n: p for n, p in self.parts.items() if isinstance(p, ExplainsScores)}

    def contributions(self, history: History, book_nums: BookNums) -> npt.NDArray[np.float32]:
        """Weighted shares of the liked books, from the parts that can explain themselves."""
        total = np.zeros((len(book_nums), len(history.liked)), np.float32)
        weights = self.config.weights_for(len(history.liked))
        for part, weight in _weighted(self._explaining, weights):
            amounts = np.maximum(part.contributions(history, book_nums), 0)
            sums = amounts.sum(axis=1, keepdims=True)
            total += weight * amounts / np.where(sums > 0, sums, 1)
        return total

    def without_reader(self, user_num: int) -> Self:
        """The same over parts that keep no row of this reader."""
        parts = {
            name: part.without_reader(user_num) if isinstance(part, KeepsReaders) else part
            for name, part in self.parts.items()
        }
        model = type(self)(self.config, parts)
        model.thresholds_, model.new_ = self.thresholds_, self.new_
        return model

    def save(self, folder: Path) -> None:
        """Write each part as an artifact of its own, in `parts/`."""
        parts = {f"parts/{name}": part.save for name, part in self.parts.items()}
        arrays = {"thresholds": self.thresholds_, "new": self.new_}
        write_artifact(folder, self.name, self.config, arrays, parts)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Open a saved model and all its parts."""
        artifact = read_artifact(folder, cls.name)
        config = artifact.config_as(HybridConfig)
        model = cls(config, {n: load_model(folder / "parts" / n) for n in config.weights})
        model.thresholds_ = artifact.array("thresholds")
        model.new_ = artifact.array("new")
        return model


def _weighted(parts: Mapping[str, Part], weights: Mapping[str, float]) -> list[tuple[Part, float]]:
    """The parts that have a weight, and their weights; all at 1 if none of them has any."""
    weighted = [(part, weights[name]) for name, part in parts.items() if weights[name]]
    return weighted or [(part, 1.0) for part in parts.values()]


def _said(part: Recommender, histories: Sequence[History]) -> ScoreMatrix:
    """In the type of scores, whatever a plug-in gives."""
    said: ScoreMatrix = np.ascontiguousarray(part.score_many(histories), np.float32)
    return said
