"""What most readers of the reader's own genres like."""

from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field
from scipy import sparse

from pipelines.data.interactions import History, TrainingData
from pipelines.models.artifact import Array, read_artifact, write_artifact
from pipelines.models.base import ModelConfig, Range, Recommender, Scores, SearchSpace
from pipelines.models.documents import names


class GenrePopularityConfig(ModelConfig):
    """How much the order of reading says of the genres that a reader likes now."""

    recency: float = Field(0.75, ge=0)
    """
    Above 0, what a reader liked lately counts more (see `History.profile`); ignored where the order
    of reading is unknown.
    """


class GenrePopularityRecommender(Recommender):
    """
    Scores a book by its share of the likings within each genre, for the genres of the reader.

    score_j = log(1 + n sum_g share_g n_j / n_g), over the genres g of book j,

    where share_g is the share of genre g in the weights of the reader's liked books, n_j the sum of
    the book's weights, n_g that of all books of the genre and n that of all books. With a single
    genre for all books this is plain popularity, and so it is for a reader who likes no book of a
    known genre, and for a catalogue without genres.
    """

    name: ClassVar[str] = "genre_popularity"
    config_class: ClassVar[type[ModelConfig]] = GenrePopularityConfig
    search_space: ClassVar[SearchSpace] = {"recency": Range(0, 1.5)}
    config: GenrePopularityConfig
    sums_: npt.NDArray[np.float64]
    """n_j, shape (n_books,)."""
    genre_scales_: npt.NDArray[np.float64]
    """n / n_g, shape (n_genres,); 0 for a genre without a liking."""
    indptr_: npt.NDArray[np.int32]
    """Of the CSR matrix of books x genres, all ones."""
    indices_: npt.NDArray[np.int32]
    recency_: float

    def __init__(self, config: GenrePopularityConfig | None = None) -> None:
        super().__init__(config or GenrePopularityConfig())

    def fit(self, data: TrainingData, *, rng: np.random.Generator) -> Self:  # noqa: ARG002
        """Count; nothing is random here."""
        liked = data.interactions.liked
        self.sums_ = np.asarray(liked.sum(axis=0, dtype=np.float64))
        genres = _memberships(data.books["genres"])
        self.indptr_, self.indices_ = genres.indptr, genres.indices
        by_genre = genres.T @ self.sums_
        self.genre_scales_ = np.divide(
            self.sums_.sum(), by_genre, out=np.zeros_like(by_genre), where=by_genre > 0
        )
        self.recency_ = self.config.recency if data.ordered else 0.0
        return self

    def score(self, history: History) -> Scores:
        """0 for a book that nobody liked, or of none of the reader's genres."""
        genres = self._genres
        profile = history.profile(self.recency_)
        taste = profile.weights.astype(np.float64) @ genres[profile.book_nums] * self.genre_scales_
        if not taste.any():
            return np.log1p(self.sums_).astype(np.float32)
        taste /= profile.weights.sum(dtype=np.float64)
        return np.log1p(self.sums_ * (genres @ taste)).astype(np.float32)

    @property
    def _genres(self) -> sparse.csr_array:
        ones = np.ones(len(self.indices_))
        shape = (len(self.sums_), len(self.genre_scales_))
        return sparse.csr_array((ones, self.indices_, self.indptr_), shape=shape)

    def save(self, folder: Path) -> None:
        """Write the counts, and which book is of which genres."""
        arrays: dict[str, Array] = {
            "sums": self.sums_,
            "genre_scales": self.genre_scales_,
            "indptr": self.indptr_,
            "indices": self.indices_,
            "recency": np.array([self.recency_]),
        }
        write_artifact(folder, self.name, self.config, arrays)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Open a saved model."""
        artifact = read_artifact(folder, cls.name)
        model = cls(artifact.config_as(GenrePopularityConfig))
        model.sums_ = artifact.array("sums")
        model.genre_scales_ = artifact.array("genre_scales")
        model.indptr_ = artifact.array("indptr")
        model.indices_ = artifact.array("indices")
        model.recency_ = float(artifact.array("recency")[0])
        return model


def _memberships(column: "pd.Series[Any]") -> sparse.csr_array:
    """Which book is of which genres, each once, genres in alphabetical order."""
    books = [sorted(set(names(genres))) for genres in column]
    nums = {genre: num for num, genre in enumerate(sorted({g for one in books for g in one}))}
    indices = np.array([nums[genre] for genres in books for genre in genres], np.int32)
    indptr = np.cumsum([0, *map(len, books)], dtype=np.int32)
    shape = (len(books), len(nums))
    return sparse.csr_array((np.ones(len(indices)), indices, indptr), shape=shape)
