"""Books of the same kind: texts as vectors, so that a book nobody has read has a place too."""

from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field

from pipelines.data.interactions import History, TrainingData
from pipelines.models.artifact import read_artifact, write_artifact
from pipelines.models.base import BookNums, ModelConfig, Recommender, Scores
from pipelines.models.documents import FieldWeights, document_matrix
from pipelines.models.vector_index import VectorIndex, Vectors

NO_ROW = -1
INDEX = "index.faiss"


class ContentConfig(ModelConfig):
    """How books become vectors."""

    embedding_size: int = Field(128, ge=1)
    """Fewer where the catalogue has fewer distinct words or books."""
    max_words: int = Field(20_000, ge=1)
    """The most frequent ones of each field."""
    n_similar: int = Field(500, ge=1)
    """How many neighbours `similarity` knows of."""
    fields: FieldWeights = FieldWeights()


class ContentRecommender(Recommender):
    """
    Scores a book by the cosine of its vector with the mean of the liked books' vectors.

    Vectors are latent semantic ones: TF-IDF, then a truncated SVD U S V^T, then the rows of
    U sqrt(S) at unit length. U S itself lets the few directions that all books share hide the
    rest; U alone makes all books of a small catalogue equally unlike. A book without any text has
    no vector and is never scored.
    """

    name: ClassVar[str] = "content"
    config: ContentConfig
    index_: VectorIndex
    book_nums_: npt.NDArray[np.int32]
    """The book of each row of the index, ascending."""
    rows_: npt.NDArray[np.int32]
    """The row of each book, or NO_ROW."""

    def __init__(self, config: ContentConfig | None = None) -> None:
        self.config = config or ContentConfig()

    def fit(self, data: TrainingData, *, rng: np.random.Generator) -> Self:
        """Read the books; the SVD starts from directions drawn from `rng`."""
        # Imported here because serving never fits, and is smaller by 170 MB without.
        from sklearn.utils.extmath import randomized_svd

        documents = document_matrix(data.books, self.config.fields, self.config.max_words)
        vectors = np.zeros((documents.shape[0], 1), np.float32)
        if documents.nnz:
            size = min(self.config.embedding_size, *documents.shape)
            seed = int(rng.integers(2**31))
            left, strengths, _ = randomized_svd(documents, size, random_state=seed)
            vectors = (left * np.sqrt(strengths)).astype(np.float32)
        self._index(vectors)
        return self

    def _index(self, vectors: Vectors) -> None:
        norms = np.linalg.norm(vectors, axis=1)
        # A text whose words all fell out of the SVD leaves rounding errors, which mean nothing.
        self.book_nums_ = np.flatnonzero(norms > 1e-6).astype(np.int32)
        kept = vectors[self.book_nums_] / norms[self.book_nums_, np.newaxis]
        self.index_ = VectorIndex.build(kept)
        self.rows_ = _rows(self.book_nums_, len(vectors))

    def score(self, history: History) -> Scores:
        """Cosines; -inf for books without a vector, or all books if no liked one has a vector."""
        liked = history.liked
        profile = (liked.weights[:, np.newaxis] * self._vectors(liked.book_nums)).sum(axis=0)
        length = np.linalg.norm(profile)
        scores = np.full(len(self.rows_), -np.inf, np.float32)
        if length > 0:
            scores[self.book_nums_] = self.index_.products(profile / length)
        return scores

    def similarity(self, book_num: int) -> Scores:
        """Cosine of the nearest `n_similar` books."""
        scores = np.full(len(self.rows_), -np.inf, np.float32)
        row = self.rows_[book_num]
        if row == NO_ROW:
            return scores
        vector = self.index_.vectors(np.array([row]))[0]
        rows, cosines = self.index_.search(vector, self.config.n_similar + 1)
        scores[self.book_nums_[rows]] = cosines
        scores[book_num] = -np.inf
        return scores

    def contributions(self, history: History, book_nums: BookNums) -> npt.NDArray[np.float32]:
        """The share of each liked book in the inner product."""
        liked = history.liked
        return self._vectors(book_nums) @ self._vectors(liked.book_nums).T * liked.weights

    def _vectors(self, book_nums: BookNums) -> Vectors:
        """Vectors of some books, zero for one without."""
        rows = self.rows_[book_nums]
        vectors = np.zeros((len(rows), self.index_.size), np.float32)
        vectors[rows != NO_ROW] = self.index_.vectors(rows[rows != NO_ROW])
        return vectors

    def save(self, folder: Path) -> None:
        """Write the index and which book each of its rows is."""
        arrays = {"book_nums": self.book_nums_, "rows": self.rows_}
        write_artifact(folder, self.name, self.config, arrays, {INDEX: self.index_.save})

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Open a saved model."""
        artifact = read_artifact(folder, cls.name)
        model = cls(artifact.config_as(ContentConfig))
        model.book_nums_ = artifact.array("book_nums")
        model.rows_ = artifact.array("rows")
        model.index_ = VectorIndex.load(folder / INDEX)
        return model


def _rows(book_nums: npt.NDArray[np.int32], n_books: int) -> npt.NDArray[np.int32]:
    rows = np.full(n_books, NO_ROW, np.int32)
    rows[book_nums] = np.arange(len(book_nums), dtype=np.int32)
    return rows
