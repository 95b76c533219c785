"""
Tastes as directions: implicit-feedback matrix factorization by alternating least squares.

Hu, Koren & Volinsky, "Collaborative Filtering for Implicit Feedback Datasets", ICDM 2008.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field
from scipy import linalg
from scipy.linalg import blas, lapack

from pipelines.data.interactions import History, Interactions, TrainingData
from pipelines.models.artifact import Array, read_artifact, write_artifact
from pipelines.models.base import (
    BookNums,
    ModelConfig,
    Range,
    Recommender,
    ScoreMatrix,
    Scores,
    SearchSpace,
)
from pipelines.models.kernels import native

BLOCK_BOOKS = 2000
"""Books whose factors are in float64 at a time."""


class MatrixFactorizationConfig(ModelConfig):
    """Confidence in a liked book is 1 + alpha * weight; in any other book it is 1."""

    embedding_size: int = Field(128, ge=1)
    regularization: float = Field(1.0, gt=0)
    alpha: float = Field(1.0, gt=0)
    iterations: int = Field(10, ge=1)
    recency: float = Field(1.0, ge=0)
    """
    Above 0, what a reader liked lately counts more (see `History.profile`); ignored where the order
    of reading is unknown.
    """
    threads: int = Field(0, ge=0)
    """For fitting; 0 is all cores. Results do not depend on it."""


class MatrixFactorizationRecommender(Recommender):
    """
    Scores a book by the inner product of its factors with the reader's.

    Only the factors of books are kept. A reader's are solved for from the history when asked (the
    paper's eq. 4), so a reader unknown at training time is a reader like any other.
    """

    name: ClassVar[str] = "matrix_factorization"
    config_class: ClassVar[type[ModelConfig]] = MatrixFactorizationConfig
    search_space: ClassVar[SearchSpace] = {
        "embedding_size": Range(32, 256, log=True, integer=True),
        "regularization": Range(0.1, 100, log=True),
        "alpha": Range(0.3, 30, log=True),
        "recency": Range(0, 1.5),
    }
    config: MatrixFactorizationConfig
    factors_: npt.NDArray[np.float32]
    """Shape (n_books, embedding_size); zero for a book that nobody liked."""
    norms_: npt.NDArray[np.float32]
    """Lengths of the rows of `factors_`; 1 where the row is zero."""
    unliked_: npt.NDArray[np.int32]
    """Books that nobody liked: there is nothing to say about them."""
    gram_: npt.NDArray[np.float64]
    """factors^T factors + regularization I."""
    whitened_: npt.NDArray[np.float32]
    """
    factors L^-T, where L L^T is `gram_`: of these that is the identity, so that a reader's system
    is one over the liked books alone. What is scored with; shape as `factors_`.
    """
    recency_: float

    def __init__(self, config: MatrixFactorizationConfig | None = None) -> None:
        self.config = config or MatrixFactorizationConfig()

    def fit(self, data: TrainingData, *, rng: np.random.Generator) -> Self:
        """Alternate between readers and books; the first factors are drawn from `rng`."""
        counts = np.bincount(data.interactions.liked.indices, minlength=data.interactions.n_books)
        self.unliked_ = np.flatnonzero(counts == 0).astype(np.int32)
        self.factors_ = self._book_factors(data.interactions, rng)
        self.norms_ = np.linalg.norm(self.factors_, axis=1)
        self.norms_[self.unliked_] = 1
        self.recency_ = self.config.recency if data.ordered else 0.0
        factors = self.factors_.astype(np.float64)
        self.gram_ = factors.T @ factors + self.config.regularization * np.eye(factors.shape[1])
        self.whitened_ = _whitened(self.factors_, self.gram_)
        return self

    def _book_factors(
        self, interactions: Interactions, rng: np.random.Generator
    ) -> npt.NDArray[np.float32]:
        # Imported here because serving never fits, and starts faster without.
        from implicit.cpu.als import AlternatingLeastSquares
        from scipy.sparse import csr_matrix
        from threadpoolctl import threadpool_limits

        confidence = csr_matrix(interactions.liked)
        confidence.data = (1 + self.config.alpha * confidence.data).astype(np.float32)
        # Its threads each solve for one reader; a BLAS with threads of its own would fight them.
        with threadpool_limits(1, "blas"):
            als = AlternatingLeastSquares(
                factors=self.config.embedding_size,
                regularization=self.config.regularization,
                iterations=self.config.iterations,
                num_threads=self.config.threads,
                random_state=rng,
            )
            als.fit(confidence, show_progress=False)
        return als.item_factors

    def score(self, history: History) -> Scores:
        """Inner products; -inf for every book if the history has no liked one."""
        scores: Scores = self.score_many([history])[0]
        return scores

    def score_many(self, histories: Sequence[History]) -> ScoreMatrix:
        """The same of each."""
        profiles = [history.profile(self.recency_) for history in histories]
        books = [profile.book_nums for profile in profiles]
        above = [self.config.alpha * profile.weights.astype(np.float64) for profile in profiles]
        tastes = native.factors_of_readers(self.whitened_, books, above)
        scores = native.products(self.whitened_, tastes)
        if len(self.unliked_):
            scores[:, self.unliked_] = -np.inf
        scores[[not len(history.liked) for history in histories]] = -np.inf
        return scores

    def similarity(self, book_num: int) -> Scores:
        """Cosine of the books' factors."""
        if book_num in self.unliked_:
            return np.full(len(self.factors_), -np.inf, np.float32)
        products = self.factors_ @ self.factors_[book_num]
        scores: Scores = products / (self.norms_ * self.norms_[book_num])
        scores[self.unliked_] = -np.inf
        scores[book_num] = -np.inf
        return scores

    def contributions(self, history: History, book_nums: BookNums) -> npt.NDArray[np.float32]:
        """
        The terms of the paper's eq. 7, which sum to the score.

        In whitened factors, c_i z_i^T (I + Z^T D Z)^-1 z for liked books i, D = S^2 being c - 1;
        where these are fewer than the factors, as c / s (I + S Z Z^T S)^-1 S Z z.
        """
        profile = history.profile(self.recency_)
        liked = self.whitened_[profile.book_nums].astype(np.float64)
        asked = self.whitened_[book_nums].T.astype(np.float64)
        if not len(liked) or not asked.shape[1]:
            return np.zeros((asked.shape[1], len(liked)), np.float32)
        above = self.config.alpha * profile.weights.astype(np.float64)
        roots = np.sqrt(above)
        scaled = liked * roots[:, np.newaxis]
        if len(liked) < liked.shape[1]:
            terms = _solved(scaled, scaled @ asked)
            terms *= ((1 + above) / roots)[:, np.newaxis]
        else:
            terms = liked @ _solved(scaled.T, asked)
            terms *= (1 + above)[:, np.newaxis]
        return terms.T.astype(np.float32)

    def save(self, folder: Path) -> None:
        """Write the factors of the books, as they are and whitened."""
        arrays: dict[str, Array] = {
            "factors": self.factors_,
            "norms": self.norms_,
            "unliked": self.unliked_,
            "gram": self.gram_,
            "whitened": self.whitened_,
            "recency": np.array([self.recency_]),
        }
        write_artifact(folder, self.name, self.config, arrays)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Open a saved model."""
        artifact = read_artifact(folder, cls.name)
        model = cls(artifact.config_as(MatrixFactorizationConfig))
        model.factors_ = artifact.array("factors")
        model.norms_ = artifact.array("norms")
        model.unliked_ = artifact.array("unliked")
        model.gram_ = artifact.array("gram")
        model.recency_ = float(artifact.array("recency")[0])
        if "whitened" in artifact.arrays:
            model.whitened_ = artifact.array("whitened")
        else:  # saved before there was one
            model.whitened_ = _whitened(model.factors_, model.gram_)
        return model


def _solved(
    rows: npt.NDArray[np.float64], wanted: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """(I + rows rows^T)^-1 `wanted`; of the matrix, half is formed and looked at."""
    normal = blas.dsyrk(1, rows, beta=1, c=np.eye(len(rows)))
    _, solution, _ = lapack.dposv(normal, wanted, overwrite_a=True)
    return solution


def _whitened(
    factors: npt.NDArray[np.float32], gram: npt.NDArray[np.float64]
) -> npt.NDArray[np.float32]:
    """`factors` L^-T, where L L^T is `gram`; solved in float64, for some books after others."""
    root = linalg.cholesky(gram, lower=True)
    whitened = np.empty_like(factors)
    for start in range(0, len(factors), BLOCK_BOOKS):
        books = slice(start, start + BLOCK_BOOKS)
        rows = factors[books].astype(np.float64)
        whitened[books] = linalg.solve_triangular(root, rows.T, lower=True).T
    return whitened
