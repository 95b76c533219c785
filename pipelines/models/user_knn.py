"""
Readers like this one: what those neighbours liked, weighted by how alike they are.

Herlocker, Konstan, Borchers & Riedl, "An Algorithmic Framework for Performing Collaborative
Filtering", SIGIR 1999, doi 10.1145/312624.312682; here for likings instead of ratings.
"""

from pathlib import Path
from typing import ClassVar, Self

import numpy as np
from pydantic import Field
from scipy import sparse

from pipelines.data.interactions import History, TrainingData
from pipelines.models.artifact import Array, Artifact, read_artifact, write_artifact
from pipelines.models.base import (
    ModelConfig,
    Range,
    RankedBooks,
    Recommender,
    Scores,
    SearchSpace,
    rank,
)
from pipelines.models.item_weights import inverse_power

CSR = ("data", "indices", "indptr")


class UserKnnConfig(ModelConfig):
    """See `UserKnnRecommender` for the formula; cosine is shrinkage 0 and exponents 0.5, 0, 0."""

    k_neighbors: int = Field(200, ge=1)
    shrinkage: float = Field(1.0, ge=0)
    """Pulls down the likeness of readers of few books, who are alike by chance."""
    user_exponent: float = Field(0.75, ge=0)
    """Above 0, a reader of many books is less alike for each of those shared."""
    item_exponent: float = Field(0.5, ge=0)
    """Above 0, a much read book makes readers less alike."""
    candidate_exponent: float = Field(0.3, ge=0)
    """Above 0, a much read book is recommended less."""
    recency: float = Field(0.75, ge=0)
    """
    Above 0, what a reader liked lately counts more (see `History.profile`); ignored where the order
    of reading is unknown.
    """


class UserKnnRecommender(Recommender):
    """
    Scores book j by what the `k_neighbors` most alike of all known readers liked.

    score_j = sum_u s_u x_uj / n_j^candidate_exponent, where
    s_u = sum_i p_i x_ui / (n_i^item_exponent (n_u^user_exponent + shrinkage))

    p_i is the weight of book i in the history, x_ui its weight for reader u, n_i the sum of the
    book's weights and n_u the sum of the reader's. The length of the history would divide all
    scores alike, and so is left out.

    A reader of the training data finds their own row among the neighbours. It does no harm: it
    holds none of the books that they have not met, and takes one of the `k_neighbors` places.
    Liked books do not explain a score (see `ExplainsScores`), for without one of them the
    neighbours are others: of readers of goodbooks-10k, every hundredth score would even rise.

    Notes:
        Keeps all likings twice, by reader and by book. A score costs the readers of the liked
        books, so most for the popular ones, and the likings of the neighbours.
    """

    name: ClassVar[str] = "user_knn"
    config_class: ClassVar[type[ModelConfig]] = UserKnnConfig
    search_space: ClassVar[SearchSpace] = {
        "k_neighbors": Range(20, 1000, log=True, integer=True),
        "shrinkage": Range(0.1, 100, log=True),
        "user_exponent": Range(0, 1.2),
        "item_exponent": Range(0, 1.2),
        "candidate_exponent": Range(0, 0.8),
        "recency": Range(0, 1.5),
    }
    config: UserKnnConfig
    likeness_: sparse.csr_array
    """How much each book adds to s_u of each reader, shape (n_books, n_readers)."""
    votes_: sparse.csr_array
    """x_uj / n_j^candidate_exponent, shape (n_readers, n_books)."""
    recency_: float

    def __init__(self, config: UserKnnConfig | None = None) -> None:
        super().__init__(config or UserKnnConfig())

    def fit(self, data: TrainingData, *, rng: np.random.Generator) -> Self:  # noqa: ARG002
        """Scale the likings; nothing is random here."""
        config, liked = self.config, data.interactions.liked
        books, readers = np.asarray(liked.sum(axis=0)), np.asarray(liked.sum(axis=1))
        by_reader = (readers**config.user_exponent + config.shrinkage).astype(np.float32)
        by_book = inverse_power(books, config.item_exponent)
        votes = liked @ sparse.diags_array(inverse_power(books, config.candidate_exponent))
        likeness = (liked @ sparse.diags_array(by_book)).T.tocsr()
        likeness.data /= by_reader[likeness.indices]
        self.votes_ = votes.astype(np.float32)
        self.likeness_ = likeness.astype(np.float32)
        self.recency_ = config.recency if data.ordered else 0.0
        return self

    def score(self, history: History) -> Scores:
        """Weighted sums; -inf for a book that no neighbour liked."""
        near = self._neighbours(history.profile(self.recency_))
        scores: Scores = near.scores @ self.votes_[near.book_nums]
        scores[scores == 0] = -np.inf
        return scores

    def _neighbours(self, profile: History) -> RankedBooks:
        """The readers most alike, as nums and scores; ties by ascending user_num."""
        alike: Scores = profile.weights @ self.likeness_[profile.book_nums]
        alike[alike == 0] = -np.inf
        return rank(alike, self.config.k_neighbors)

    def without_reader(self, user_num: int) -> Self:
        """One neighbour less; what the others weigh stays as it was learnt."""
        others = np.delete(np.arange(self.votes_.shape[0]), user_num)
        model = type(self)(self.config)
        model.votes_, model.likeness_ = self.votes_[others], self.likeness_[:, others]
        model.recency_ = self.recency_
        return model

    def save(self, folder: Path) -> None:
        """Write both matrices."""
        arrays: dict[str, Array] = {
            "recency": np.array([self.recency_]),
            **_arrays("likeness", self.likeness_),
            **_arrays("votes", self.votes_),
        }
        write_artifact(folder, self.name, self.config, arrays)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Open a saved model."""
        artifact = read_artifact(folder, cls.name)
        model = cls(artifact.config_as(UserKnnConfig))
        # Each has as many columns as the other one has rows.
        n_books, n_readers = (len(artifact.array(f"{n}_indptr")) - 1 for n in ("likeness", "votes"))
        model.likeness_ = _matrix(artifact, "likeness", (n_books, n_readers))
        model.votes_ = _matrix(artifact, "votes", (n_readers, n_books))
        model.recency_ = float(artifact.array("recency")[0])
        return model


def _arrays(name: str, matrix: sparse.csr_array) -> dict[str, Array]:
    return {f"{name}_{part}": getattr(matrix, part) for part in CSR}


def _matrix(artifact: Artifact, name: str, shape: tuple[int, int]) -> sparse.csr_array:
    """A matrix over the mapped arrays, without copying them."""
    return sparse.csr_array(tuple(artifact.array(f"{name}_{part}") for part in CSR), shape=shape)
