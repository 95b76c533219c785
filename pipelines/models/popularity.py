"""What most readers like: the same list for everyone, and the one for readers nobody knows yet."""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field

from pipelines.data.interactions import History, Interactions, TrainingData
from pipelines.models.artifact import read_artifact, write_artifact
from pipelines.models.base import ModelConfig, Range, Recommender, ScoreMatrix, Scores, SearchSpace
from pipelines.models.kernels.memory import fresh


class PopularityConfig(ModelConfig):
    """Popularity has nothing to tune."""


class PopularityRecommender(Recommender):
    """
    Scores a book by log(1 + sum of its readers' weights).

    The logarithm changes no order; it keeps the few most read books from drowning the rest where
    popularity is blended with other models.
    """

    name: ClassVar[str] = "popularity"
    config_class: ClassVar[type[ModelConfig]] = PopularityConfig
    config: PopularityConfig
    scores_: Scores

    def __init__(self, config: PopularityConfig | None = None) -> None:
        super().__init__(config or self.config_class())

    def fit(self, data: TrainingData, *, rng: np.random.Generator) -> Self:  # noqa: ARG002
        """Count; nothing is random here."""
        self.scores_ = self.scores_from(data.interactions)
        return self

    def scores_from(self, interactions: Interactions) -> Scores:
        """What `fit` learns from these."""
        matrix = interactions.matrix
        likings = np.maximum(matrix.data, 0) * self._discounts(interactions)
        # In float64, whose sums of a few weights do not depend on how the rows were cut.
        sums = np.bincount(matrix.indices, weights=likings, minlength=matrix.shape[1])
        return np.log1p(sums).astype(np.float32)

    def _discounts(self, interactions: Interactions) -> npt.NDArray[np.float64]:
        """What each liking counts, parallel to `interactions.matrix.data`."""
        return np.ones(interactions.matrix.nnz)

    def score(self, history: History) -> Scores:  # noqa: ARG002
        """The same for every history; 0 for a book that nobody liked."""
        return np.array(self.scores_)

    def score_many(self, histories: Sequence[History]) -> ScoreMatrix:
        """The same row for each."""
        scores = fresh(len(histories), len(self.scores_))
        scores[:] = self.scores_
        return scores

    def save(self, folder: Path) -> None:
        """Write the scores."""
        write_artifact(folder, self.name, self.config, {"scores": self.scores_})

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Open a saved model."""
        artifact = read_artifact(folder, cls.name)
        model = cls(artifact.config_as(cls.config_class))  # type: ignore[arg-type] # its own one
        model.scores_ = artifact.array("scores")
        return model


class RecentPopularityConfig(PopularityConfig):
    """How fast a liking is forgotten."""

    half_life_days: float = Field(90.0, gt=0)
    """A liking this much older than the newest one counts half of it."""


class RecentPopularityRecommender(PopularityRecommender):
    """
    Scores a book by log(1 + sum of its readers' weights 2^(-age / half_life_days)).

    Age is that of the liking, behind the newest liking it learns from. One of unknown time counts
    as the oldest; where no time is known at all, this is plain popularity.
    """

    name: ClassVar[str] = "recent_popularity"
    config_class: ClassVar[type[ModelConfig]] = RecentPopularityConfig
    search_space: ClassVar[SearchSpace] = {"half_life_days": Range(7, 1460, log=True)}
    config: RecentPopularityConfig

    def _discounts(self, interactions: Interactions) -> npt.NDArray[np.float64]:
        if interactions.days is None or not interactions.has_times:
            return super()._discounts(interactions)
        liked = interactions.matrix.data > 0
        days = interactions.days.astype(np.float64)
        newest, oldest = np.nanmax(days[liked]), np.nanmin(days[liked])
        ages = newest - np.where(liked & ~np.isnan(days), days, oldest)
        discounts: npt.NDArray[np.float64] = np.exp2(-ages / self.config.half_life_days)
        return discounts
