"""What most readers like: the same list for everyone, and the one for readers nobody knows yet."""

from pathlib import Path
from typing import ClassVar, Self

import numpy as np

from pipelines.data.interactions import History, TrainingData
from pipelines.models.artifact import read_artifact, write_artifact
from pipelines.models.base import ModelConfig, Recommender, Scores


class PopularityConfig(ModelConfig):
    """Popularity has nothing to tune."""


class PopularityRecommender(Recommender):
    """
    Scores a book by log(1 + sum of its readers' weights).

    The logarithm changes no order; it keeps the few most read books from drowning the rest where
    popularity is blended with other models.
    """

    name: ClassVar[str] = "popularity"
    config: PopularityConfig
    scores_: Scores

    def __init__(self, config: PopularityConfig | None = None) -> None:
        self.config = config or PopularityConfig()

    def fit(self, data: TrainingData, *, rng: np.random.Generator) -> Self:  # noqa: ARG002
        """Count; nothing is random here."""
        liked = data.interactions.liked
        # In float64, whose sums of a few weights do not depend on how the rows were cut.
        sums = np.bincount(liked.indices, weights=liked.data, minlength=liked.shape[1])
        self.scores_ = np.log1p(sums).astype(np.float32)
        return self

    def score(self, history: History) -> Scores:  # noqa: ARG002
        """The same for every history; 0 for a book that nobody liked."""
        return np.array(self.scores_)

    def save(self, folder: Path) -> None:
        """Write the scores."""
        write_artifact(folder, self.name, self.config, {"scores": self.scores_})

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Open a saved model."""
        artifact = read_artifact(folder, cls.name)
        model = cls(artifact.config_as(PopularityConfig))
        model.scores_ = artifact.array("scores")
        return model
