"""Books of the same kind: texts as vectors, so that a book nobody has read has a place too."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, field_validator
from scipy import sparse

from pipelines.data.interactions import History, TrainingData
from pipelines.errors import EmbeddingError
from pipelines.models.artifact import read_artifact, write_artifact
from pipelines.models.base import (
    BookNums,
    ModelConfig,
    Range,
    RankedBooks,
    Recommender,
    ScoreMatrix,
    Scores,
    SearchSpace,
)
from pipelines.models.documents import FieldWeights, book_texts, document_matrix
from pipelines.models.embeddings.base import TFIDF
from pipelines.models.embeddings.factory import Embedded, embed_texts
from pipelines.models.kernels import native
from pipelines.models.neighbours import NeighbourLists, RowProducts
from pipelines.models.search.lexical_index import LexicalIndex
from pipelines.models.search.text_search import TextSearch
from pipelines.models.vector_index import APPROXIMATE_FROM, VectorIndex, Vectors

CACHE = "embeddings"
VECTORS = "vectors"
WORDS = "words"
BLOCK_ROWS = 1024


class ContentConfig(ModelConfig):
    """How books become vectors, and vectors scores."""

    providers: tuple[str, ...] = Field(("ollama", "minilm", TFIDF), min_length=1)
    """Who makes the vectors: the first that is set up on this machine and works."""
    provider_options: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """By provider, what differs from its defaults: `{"ollama": {"url": "http://box:11434"}}`."""
    embedding_size: int = Field(128, ge=1)
    """Of `tfidf`; fewer where the catalogue has fewer distinct words or books."""
    max_words: int = Field(20_000, ge=1)
    """The most frequent ones of each field."""
    k_neighbors: int = Field(100, ge=1)
    """How many books near each book are known."""
    sharpness: float = Field(6.0, ge=1, le=64)
    """The power of a cosine: the higher, the more one near book outweighs many distant ones."""
    embedding_share: float = Field(0.2, ge=0, le=1)
    """
    Of a provider's cosine in the nearness of two books; the rest is that of their TF-IDF rows.

    Readers follow authors, series and genres, which these tell apart better: on held-out ratings
    MiniLM alone ranked hardly more than half as well, and a share of a fifth cost nothing.
    """
    approximate_from: int = Field(APPROXIMATE_FROM, ge=1)
    """Number of books from which on near ones are found by a graph instead of a look at all."""
    fields: FieldWeights = FieldWeights()

    @field_validator("providers")
    @classmethod
    def _are_different(cls, providers: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(providers)) < len(providers):
            raise ValueError("names a provider twice")
        return providers


class ContentRecommender(Recommender):
    """
    Scores a book by its nearness to each of the liked books.

    score_j = sum_i(weight_i near_ij^sharpness) / sum_i(weight_i)

    over the liked books i that have j among their `k_neighbors` nearest. A mean of vectors would
    lie between a reader's tastes, near to nothing that they like.

    Vectors come from the first provider that works. Those of `tfidf` are latent semantic ones:
    TF-IDF, then a truncated SVD U S V^T, then the rows of U sqrt(S) at unit length. U S itself
    lets the few directions that all books share hide the rest; U alone makes all books of a small
    catalogue equally unlike. Vectors find who is near; how near is the cosine of the TF-IDF rows
    themselves, which are less blurred, and a share of that of a provider's vectors. A book without
    any text has no vector and is never scored.
    """

    name: ClassVar[str] = "content"
    config_class: ClassVar[type[ModelConfig]] = ContentConfig
    learns_from_readers: ClassVar[bool] = False
    scores_new_books: ClassVar[bool] = True
    search_space: ClassVar[SearchSpace] = {"sharpness": Range(2, 16, log=True)}
    config: ContentConfig
    index_: VectorIndex
    words_: LexicalIndex
    neighbours_: NeighbourLists
    rows_: native.SparseRows
    """The neighbours with near^sharpness."""
    searcher_: TextSearch
    book_nums_: npt.NDArray[np.int32]
    """The book of each row of the index, ascending."""

    def __init__(self, config: ContentConfig | None = None) -> None:
        self.config = config or ContentConfig()

    def fit(self, data: TrainingData, *, rng: np.random.Generator) -> Self:
        """
        Read the books; the SVD starts from directions drawn from `rng`.

        Raises:
            ConfigurationError: there is no such provider, or its options are not valid.
            EmbeddingError: none of the providers works.
        """
        config = self.config
        documents = document_matrix(data.books, config.fields, config.max_words, data.cache_folder)
        embedded = self._from_a_provider(data)
        if embedded is None:
            embedded = Embedded(TFIDF, "", _latent(documents, config.embedding_size, rng))
        norms = np.linalg.norm(embedded.vectors, axis=1)
        # A text whose words all fell out of the SVD leaves rounding errors, which mean nothing.
        self.book_nums_ = np.flatnonzero(norms > 1e-6).astype(np.int32)
        self.index_ = VectorIndex.build(
            embedded.vectors[self.book_nums_] / norms[self.book_nums_, np.newaxis],
            provider=embedded.provider,
            model=embedded.model,
            approximate_from=config.approximate_from,
        )
        self.neighbours_ = NeighbourLists.of(self._neighbours(documents))
        self.words_ = LexicalIndex.build(data.books, config.max_words)
        self._ready()
        return self

    def _from_a_provider(self, data: TrainingData) -> Embedded | None:
        """Vectors of all books, zero for one without a text; None where `tfidf` has to do."""
        config = self.config
        floor = config.providers.index(TFIDF) if TFIDF in config.providers else None
        names = config.providers[:floor]
        texts = book_texts(data.books)
        nums = [num for num, text in enumerate(texts) if text]
        folder = data.cache_folder / CACHE if data.cache_folder else None
        embedded = None
        if nums and names:
            written = [texts[num] for num in nums]
            embedded = embed_texts(written, names, config.provider_options, folder)
        if embedded is None:
            if floor is None and nums:
                raise EmbeddingError(
                    f"no embedding provider of {', '.join(names)} works: set one up, "
                    f"or add {TFIDF} to them"
                )
            return None
        vectors = np.zeros((len(texts), embedded.vectors.shape[1]), np.float32)
        vectors[nums] = embedded.vectors
        return replace(embedded, vectors=vectors)

    def _neighbours(
        self, documents: sparse.csr_array
    ) -> Iterator[tuple[npt.NDArray[np.int32], Vectors]]:
        """The list of each book: the nearest by the index, and how near they are."""
        products = RowProducts(_unit_rows(documents))
        by_words = self.index_.facts.provider == TFIDF
        share = np.float32(0 if by_words else self.config.embedding_share)
        near = self._near()
        with_vector = set(self.book_nums_.tolist())
        for num in range(documents.shape[0]):
            if num not in with_vector:
                yield np.empty(0, np.int32), np.empty(0, np.float32)
                continue
            nums, cosines = next(near)
            nearness = (1 - share) * products.of(num, nums) + share * np.maximum(cosines, 0)
            kept = (nums != num) & (nearness > 0)
            yield nums[kept], np.minimum(nearness[kept], 1)

    def _near(self) -> Iterator[tuple[npt.NDArray[np.int32], Vectors]]:
        """Of each row of the index in turn: the nearest books by book_num, and their cosines."""
        for start in range(0, len(self.index_), BLOCK_ROWS):
            block = np.arange(start, min(start + BLOCK_ROWS, len(self.index_)))
            found = self.index_.search(self.index_.vectors(block), self.config.k_neighbors + 1)
            for rows, cosines in zip(*found, strict=True):
                real = rows >= 0
                order = np.argsort(rows[real])
                yield self.book_nums_[rows[real][order]], cosines[real][order]

    def _ready(self) -> None:
        """What a fitted or loaded model needs to answer, and is no part of what it learnt."""
        lists = self.neighbours_
        # Once, for a power takes longer than all else of a score.
        near = (lists.cosines.astype(np.float64) ** self.config.sharpness).astype(np.float32)
        self.rows_ = native.SparseRows(near, lists.indices, lists.indptr)
        self.searcher_ = TextSearch(
            self.words_, self.index_, self.book_nums_, self.config.provider_options
        )

    def score(self, history: History) -> Scores:
        """Between 0 and 1; -inf for a book that is near to no liked one."""
        scores: Scores = self.score_many([history])[0]
        return scores

    def score_many(self, histories: Sequence[History]) -> ScoreMatrix:
        """The same of each."""
        liked = [history.liked for history in histories]
        return self.rows_.sums(
            [each.book_nums for each in liked],
            [each.weights for each in liked],
            [_total(each) for each in liked],
        )

    def similarity(self, book_num: int) -> Scores:
        """Nearness of the nearest `k_neighbors` books, from 0 to 1."""
        return self.neighbours_.around(book_num)

    def contributions(self, history: History, book_nums: BookNums) -> npt.NDArray[np.float32]:
        """The term of each liked book in the sum that is the score."""
        liked = history.liked
        terms = self.rows_.cells(liked.book_nums, book_nums) * (liked.weights / _total(liked))
        return terms.astype(np.float32)

    def search(self, text: str, n: int) -> RankedBooks:
        """
        The `n` books that fit a text best; none for one without a known word.

        Scores have no fixed range and compare within one list only. See `TextSearch`.
        """
        return self.searcher_.ranked(text, n)

    def save(self, folder: Path) -> None:
        """Write the neighbours, and the two indexes as artifacts of their own."""
        arrays = {"book_nums": self.book_nums_, **self.neighbours_.arrays}
        files = {VECTORS: self.index_.save, WORDS: self.words_.save}
        write_artifact(folder, self.name, self.config, arrays, files)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Open a saved model."""
        artifact = read_artifact(folder, cls.name)
        model = cls(artifact.config_as(ContentConfig))
        model.book_nums_ = artifact.array("book_nums")
        model.neighbours_ = NeighbourLists.load(artifact)
        model.index_ = VectorIndex.load(folder / VECTORS)
        model.words_ = LexicalIndex.load(folder / WORDS)
        model._ready()
        return model


def _total(liked: History) -> float:
    """Of the weights; not 0, which nothing could be divided by."""
    return max(float(liked.weights.sum(dtype=np.float64)), 1e-12)


def _latent(documents: sparse.csr_array, size: int, rng: np.random.Generator) -> Vectors:
    """Latent semantic vectors of the rows, at no particular length."""
    # Imported here because serving never fits, and is smaller by 170 MB without.
    from sklearn.utils.extmath import randomized_svd

    if not documents.nnz:
        return np.zeros((documents.shape[0], 1), np.float32)
    seed = int(rng.integers(2**31))
    left, strengths, _ = randomized_svd(documents, min(size, *documents.shape), random_state=seed)
    return (left * np.sqrt(strengths)).astype(np.float32)


def _unit_rows(matrix: sparse.csr_array) -> sparse.csr_array:
    """Rows of unit length; empty ones stay empty."""
    squares = matrix.multiply(matrix).sum(axis=1)
    lengths = np.sqrt(np.asarray(squares))
    return sparse.csr_array(sparse.diags_array(1 / np.where(lengths > 0, lengths, 1)) @ matrix)
