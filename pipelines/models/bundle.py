"""What is registered and served: a hybrid, readers' histories and the catalogue in one unit."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from scipy import sparse

from pipelines.data.interactions import History, Id, Interactions, Vocabulary
from pipelines.models.artifact import read_artifact, write_artifact
from pipelines.models.base import BookNums, ModelConfig, RankedBooks, Scores, SearchesText, rank
from pipelines.models.catalogue import Catalogue, load_table
from pipelines.models.golden import GOLDEN_ANSWERS, GoldenAnswers
from pipelines.models.hybrid import HybridRecommender
from pipelines.models.popularity import PopularityRecommender
from pipelines.models.reranking import (
    NO_FILTERS,
    POOL,
    UNCHANGED,
    Filters,
    Reranking,
    diversified,
    likeness,
)
from pipelines.models.vocabularies import read_vocabulary, vocabulary_arrays

CATALOGUE = "catalogue.arrow"
POPULAR = "popular with readers"
MAX_REASONS = 2


@dataclass(frozen=True)
class Recommendation:
    """One book of an answer; ids as they came in."""

    book_id: Id
    title: str
    authors: tuple[str, ...]
    score: float
    reasons: tuple[str, ...]
    """Short sentences, the strongest first; empty where none was asked for or there is none."""


@dataclass(frozen=True)
class Answer:
    """Books, best first, and where they come from."""

    items: tuple[Recommendation, ...]
    source: str
    """ "model", or "fallback": nothing is known of this reader's taste, so these are popular."""


class BundleConfig(ModelConfig):
    """A bundle has nothing to tune; its hybrid keeps its own config."""


class ModelBundle:
    """
    Answers for readers and books by their ids, as a URL writes them.

    Immutable once made, so that any number of threads may ask at once.
    """

    kind: ClassVar[str] = "bundle"

    def __init__(
        self,
        hybrid: HybridRecommender,
        popularity: PopularityRecommender,
        users: Vocabulary,
        books: Vocabulary,
        interactions: Interactions,
        catalogue: pa.Table,
    ) -> None:
        """
        Args:
            hybrid: Fitted on these books.
            popularity: Fitted on them too; fills what the hybrid leaves empty.
            users: Every reader with a row in `interactions`, even an empty one.
            books: Every book of the catalogue.
            interactions: All that readers have met: what to recommend from, and what never again.
            catalogue: Columns of `schemas.BOOKS`, and `mean_rating` where readers have rated; rows
                in the order of `books`.
        """
        if interactions.matrix.shape != (len(users), len(books)) or len(catalogue) != len(books):
            raise ValueError(
                f"{len(users)} users and {len(books)} books do not fit interactions of shape "
                f"{interactions.matrix.shape} and a catalogue of {len(catalogue)} rows"
            )
        self.hybrid = hybrid
        self.popularity = popularity
        self.users = users
        self.books = books
        self.interactions = interactions
        self.catalogue = Catalogue(catalogue)

    def recommend(
        self, user_id: str, n: int, *, explain: bool = True, reranking: Reranking = UNCHANGED
    ) -> Answer:
        """Unmet books for a reader; popular ones for a reader who is unknown or likes nothing."""
        known = self.users.parse(user_id)
        if known is None:
            return self._popular(n, reranking)
        history = self.interactions.history(int(self.users.nums([known])[0]))
        return self._answered(history, n, explain, reranking)

    def recommend_for_history(
        self,
        book_ids: Sequence[str],
        n: int,
        *,
        explain: bool = True,
        reranking: Reranking = UNCHANGED,
    ) -> Answer:
        """
        Books for somebody who likes these books, whoever they are.

        Unknown ids are ignored; popular books if none is known.
        """
        known = [key for text in book_ids if (key := self.books.parse(text)) is not None]
        if not known:
            return self._popular(n, reranking)
        liked = dict.fromkeys(self.books.nums(known).tolist())
        return self._answered(History.of([*liked]), n, explain, reranking)

    def recommend_many(
        self, user_nums: Sequence[int] | npt.NDArray[np.integer], n: int
    ) -> list[RankedBooks]:
        """The lists of `recommend` for many readers, without their dress."""
        return [self._ranked(h, n)[0] for h in self.interactions.histories(user_nums)]

    def similar(self, book_id: str, n: int, *, filters: Filters = NO_FILTERS) -> Answer | None:
        """Books near a book; None if it is unknown, no items if nothing is near it."""
        known = self.books.parse(book_id)
        if known is None:
            return None
        scores = self.hybrid.similarity(int(self.books.nums([known])[0]))
        ranked = rank(scores, n, self._barred(filters))
        return self._answer(ranked, [()] * len(ranked), "model")

    def popular(self, n: int, *, filters: Filters = NO_FILTERS) -> Answer:
        """What most readers like."""
        return self._popular(n, Reranking(filters=filters))

    def search(self, text: str, n: int) -> Answer | None:
        """Books that fit a text; None if no part of the hybrid can search."""
        able = {name: p for name, p in self.hybrid.parts.items() if isinstance(p, SearchesText)}
        if not able:
            return None
        part = able[max(able, key=lambda name: self.hybrid.config.weights[name])]
        ranked = part.search(text, n)
        return self._answer(ranked, [()] * len(ranked), "model")

    def book(self, book_id: str) -> dict[str, Any] | None:
        """The catalogue's entry, fit for JSON; None for an unknown book."""
        known = self.books.parse(book_id)
        return None if known is None else self.catalogue.entry(int(self.books.nums([known])[0]))

    def _popular(self, n: int, reranking: Reranking) -> Answer:
        ranked, _ = self._ranked(History.of([]), n, reranking)
        return self._answer(ranked, [(POPULAR,)] * len(ranked), "fallback")

    def _answered(self, history: History, n: int, explain: bool, reranking: Reranking) -> Answer:
        ranked, n_modelled = self._ranked(history, n, reranking)
        reasons: list[tuple[str, ...]] = [()] * len(ranked)
        if explain:
            reasons = self._reasons(history.liked, ranked.book_nums[:n_modelled])
            reasons += [(POPULAR,)] * (len(ranked) - n_modelled)
        return self._answer(ranked, reasons, "model" if n_modelled else "fallback")

    def _ranked(
        self, history: History, n: int, reranking: Reranking = UNCHANGED
    ) -> tuple[RankedBooks, int]:
        """
        A list filled up with popular books, and how many at its head are the hybrid's.

        With diversity, head and tail are each varied by themselves.
        """
        excluded = self._excluded(history, reranking.filters)
        pool = max(n, POOL) if reranking.diversity else n
        popularity = self.popularity.score(history)
        if not len(history.liked):
            return self._varied(rank(popularity, pool, excluded), n, reranking.diversity), 0
        head = rank(self._scores(history, reranking.popularity_damping), pool, excluded)
        modelled = self._varied(head, n, reranking.diversity)
        if len(head) >= n:
            return modelled, n
        tail = rank(popularity, pool, np.concatenate([excluded, head.book_nums]))
        popular = self._varied(tail, n - len(head), reranking.diversity)
        return _joined(modelled, popular, n), len(head)

    def _scores(self, history: History, damping: float | None) -> Scores:
        if damping is None:
            return self.hybrid.score(history)
        return self.hybrid.score_damped(history, damping)

    def _excluded(self, history: History, filters: Filters) -> BookNums:
        seen = history.book_nums if filters.exclude_seen else np.empty(0, np.int32)
        barred = self._barred(filters)
        return seen if barred is None else np.concatenate([seen, barred])

    def _barred(self, filters: Filters) -> BookNums | None:
        """None where nothing is: the usual case, which must cost nothing."""
        return None if filters == NO_FILTERS else filters.barred(self.catalogue, self.books)

    def _varied(self, ranked: RankedBooks, n: int, diversity: float) -> RankedBooks:
        if not diversity:
            return ranked
        likeness_to = likeness(self.hybrid, self.catalogue, ranked.book_nums[:POOL])
        return diversified(ranked, likeness_to, diversity, n)

    def _reasons(self, liked: History, book_nums: BookNums) -> list[tuple[str, ...]]:
        """For each book the liked ones that carry it most, or else that it is popular."""
        if not len(book_nums):
            return []
        amounts = self.hybrid.contributions(liked, book_nums)
        # A met book, where such are shown, is no reason for itself.
        amounts[book_nums[:, np.newaxis] == liked.book_nums] = 0
        return [self._because(liked, row) for row in amounts]

    def _because(self, liked: History, amounts: Scores) -> tuple[str, ...]:
        strongest = rank(amounts, MAX_REASONS)
        nums = liked.book_nums[strongest.book_nums[strongest.scores > 0]]
        return tuple(f"because you liked {self.catalogue.title(int(num))}" for num in nums) or (
            POPULAR,
        )

    def _answer(
        self, ranked: RankedBooks, reasons: Sequence[tuple[str, ...]], source: str
    ) -> Answer:
        rows = zip(
            ranked.book_nums.tolist(),
            self.books.ids(ranked.book_nums),
            ranked.scores.tolist(),
            reasons,
            strict=True,
        )
        items = tuple(
            Recommendation(
                book_id, self.catalogue.title(num), self.catalogue.authors_of(num), score, why
            )
            for num, book_id, score, why in rows
        )
        return Answer(items, source)

    def without_reader(self, user_id: str) -> Self | None:
        """
        The same without a reader's id and history; None if there is no such reader.

        Others get the lists that they got before, unless a part learns from its readers' rows. What
        the models have learnt of books from this reader stays in them until they are trained again.
        """
        known = self.users.parse(user_id)
        if known is None:
            return None
        user_num = int(self.users.nums([known])[0])
        return type(self)(
            self.hybrid.without_reader(user_num),
            self.popularity,
            self.users.without(known),
            self.books,
            self.interactions.without_reader(user_num),
            self.catalogue.table,
        )

    def save(self, folder: Path) -> None:
        """Write all of it, and its golden answers, as one artifact; `folder` must not exist yet."""
        matrix = self.interactions.matrix
        arrays = {
            "histories_indptr": matrix.indptr,
            "histories_books": matrix.indices,
            "histories_weights": matrix.data,
            **vocabulary_arrays("users", self.users),
            **vocabulary_arrays("books", self.books),
        }
        files = {
            "hybrid": self.hybrid.save,
            "popularity": self.popularity.save,
            CATALOGUE: self.catalogue.save,
            GOLDEN_ANSWERS: GoldenAnswers.of(self).save,
        }
        write_artifact(folder, self.kind, BundleConfig(), arrays, files)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """
        Open a saved bundle; arrays and catalogue stay on disk until they are touched.

        Raises:
            ArtifactError: anything in it is missing or not as it was written.
        """
        artifact = read_artifact(folder, cls.kind)
        users, books = read_vocabulary(artifact, "users"), read_vocabulary(artifact, "books")
        parts = ("histories_weights", "histories_books", "histories_indptr")
        matrix = sparse.csr_array(
            tuple(artifact.array(name) for name in parts), shape=(len(users), len(books))
        )
        return cls(
            HybridRecommender.load(folder / "hybrid"),
            PopularityRecommender.load(folder / "popularity"),
            users,
            books,
            Interactions(matrix),
            load_table(folder / CATALOGUE),
        )


def _joined(head: RankedBooks, tail: RankedBooks, n: int) -> RankedBooks:
    """As much of the tail behind the head as `n` leaves, its scores shifted below the head's."""
    if not len(head) or not len(tail):
        return head if len(head) else tail
    room = n - len(head)
    below = tail.scores[:room] - tail.scores[0] + head.scores.min() - 1
    return RankedBooks(
        np.concatenate([head.book_nums, tail.book_nums[:room]]),
        np.concatenate([head.scores, below]),
    )
