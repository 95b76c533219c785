"""Books for a text that somebody typed: by its words, and by what it is about."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import structlog

from pipelines.errors import ConfigurationError, EmbeddingError, NoProviderError
from pipelines.models.base import RankedBooks, Scores, rank
from pipelines.models.embeddings.base import TFIDF, EmbeddingProvider
from pipelines.models.embeddings.factory import Options, create_provider
from pipelines.models.search.lexical_index import LexicalIndex, search_words
from pipelines.models.vector_index import VectorIndex, Vectors

log = structlog.get_logger()

CANDIDATES = 200
"""Books that each way of looking may bring at least."""
HITS = 10
"""Books found by words that stand for what the text is about."""
MAX_CHARACTERS = 2_000
PAUSE_SECONDS = 60
"""How long a provider that failed is left alone."""


class TextSearch:
    """
    Scores a book by the words it shares with a text plus the cosine of their meanings.

    The vector of the text comes from the provider that made the books' vectors. Where that is the
    TF-IDF of the model itself, or the provider does not answer, it is the mean vector of the books
    that the words find: what else stands near those is about the same.
    """

    def __init__(
        self,
        words: LexicalIndex,
        index: VectorIndex,
        book_nums: npt.NDArray[np.int32],
        options: Options,
    ) -> None:
        """
        Args:
            words: Of all books.
            index: Of the books that have a vector; its facts say whose vectors they are.
            book_nums: The book of each row of the index, ascending.
            options: Of the providers.
        """
        self._words = words
        self._index = index
        self._book_nums = book_nums
        facts = index.facts
        self._queries = (
            QueryEmbedder(facts.provider, options.get(facts.provider, {}), facts.model, index.size)
            if facts.provider not in ("", TFIDF)
            else None
        )

    def ranked(self, text: str, n: int) -> RankedBooks:
        """The `n` best; none for a text without a word that says something."""
        text = text[:MAX_CHARACTERS]
        shared = self._words.scores(text)
        vector = self._vector(text, shared)
        if vector is None:
            return rank(np.where(shared > 0, shared, np.float32(-np.inf)), n)
        n_candidates = max(CANDIDATES, 2 * n)
        rows, _ = self._index.search(vector[np.newaxis], n_candidates)
        by_words = rank(np.where(shared > 0, shared, np.float32(-np.inf)), n_candidates).book_nums
        nums = np.union1d(by_words, self._book_nums[rows[rows >= 0]])
        scores = np.full(len(shared), -np.inf, np.float32)
        scores[nums] = shared[nums] + self._cosines(nums, vector)
        return rank(scores, n)

    def _vector(self, text: str, shared: Scores) -> Vectors | None:
        if self._queries and search_words(text):
            vector = self._queries.vector(text)
            if vector is not None:
                return vector
        return self._mean_of_hits(shared)

    def _mean_of_hits(self, shared: Scores) -> Vectors | None:
        """Where the books that share the most words stand; None if there are none."""
        known = shared[self._book_nums]
        best = rank(np.where(known > 0, known, np.float32(-np.inf)), HITS)
        vectors = self._index.vectors(best.book_nums)
        mean = (best.scores[:, np.newaxis] ** 2 * vectors).sum(axis=0)
        length = np.linalg.norm(mean)
        return mean / length if length > 0 else None

    def _cosines(self, book_nums: npt.NDArray[np.int32], vector: Vectors) -> Scores:
        """With each of some books; 0 for one without a vector."""
        rows = np.searchsorted(self._book_nums, book_nums)
        rows = np.minimum(rows, len(self._book_nums) - 1)
        known = self._book_nums[rows] == book_nums
        cosines = np.zeros(len(book_nums), np.float32)
        cosines[known] = self._index.vectors(rows[known]) @ vector
        return cosines


class QueryEmbedder:
    """Asks the provider of the books' vectors for that of a text; a failure is logged once."""

    def __init__(
        self,
        name: str,
        options: Any,
        model: str,
        size: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name = name
        self._options = options
        self._model = model
        self._size = size
        self._clock = clock
        self._provider: EmbeddingProvider | None = None
        self._asleep_until = -np.inf
        self._has_warned = False

    def vector(self, text: str) -> Vectors | None:
        """Of unit length; None while the provider does not work."""
        if self._clock() < self._asleep_until:
            return None
        try:
            return self._ask(text)
        except (EmbeddingError, NoProviderError, ConfigurationError) as error:
            self._asleep_until = self._clock() + PAUSE_SECONDS
            if not self._has_warned:
                self._has_warned = True
                log.warning("search_without_embeddings", provider=self._name, reason=str(error))
            return None

    def _ask(self, text: str) -> Vectors:
        if self._provider is None:
            self._provider = create_provider(self._name, self._options)
        if self._provider.model != self._model:
            raise EmbeddingError(
                f"books were embedded by {self._model}, here is {self._provider.model}: "
                "train the model again"
            )
        encodable = text.encode("utf-8", "replace").decode()
        (vector,) = self._provider.embed([encodable], urgent=True)
        if len(vector) != self._size:
            raise EmbeddingError(
                f"{self._name} answered with {len(vector)} numbers, books have {self._size}"
            )
        return vector
