"""Which books, in what order: what the hybrid says, filled up with popular books, as wished."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipelines.data.interactions import History, Vocabulary
from pipelines.errors import UnknownPartError
from pipelines.models.base import (
    READERS_AT_ONCE,
    BookNums,
    FindsSimilarBooks,
    RankedBooks,
    ScoreMatrix,
    Scores,
    rank,
)
from pipelines.models.catalogue import Catalogue
from pipelines.models.hybrid import HybridRecommender
from pipelines.models.popularity import PopularityRecommender
from pipelines.models.reranking import (
    NO_FILTERS,
    POOL,
    Filters,
    Reranking,
    diversified,
    likeness,
)

MODEL = "model"
FALLBACK = "fallback"


@dataclass(frozen=True)
class MixedList:
    """Books, best first: those of the hybrid, then popular ones."""

    ranked: RankedBooks
    n_modelled: int
    source: str
    """Of the list as a whole: MODEL if any of its books is the hybrid's."""

    def after(self, skip: int) -> "MixedList":
        """Without the first `skip` books."""
        return MixedList(self.ranked.after(skip), max(self.n_modelled - skip, 0), self.source)


class ListMaker:
    """Ranks books for histories, and around books; stateless, so any number of threads may ask."""

    def __init__(
        self,
        hybrid: HybridRecommender,
        popularity: PopularityRecommender,
        catalogue: Catalogue,
        books: Vocabulary,
    ) -> None:
        self._hybrid = hybrid
        self._popularity = popularity
        self._catalogue = catalogue
        self._books = books

    def asked(self, part: str | None) -> HybridRecommender:
        """
        The hybrid, or one part of it alone.

        Raises:
            UnknownPartError: it has no such part.
        """
        return self._one_of(self._hybrid.parts, part)

    def asked_for_similar(self, part: str | None) -> HybridRecommender:
        """
        The same, of the parts that know similar books.

        Raises:
            UnknownPartError: it has no such part.
        """
        able = {n: p for n, p in self._hybrid.parts.items() if isinstance(p, FindsSimilarBooks)}
        return self._one_of(able, part)

    def _one_of(self, parts: Mapping[str, Any], name: str | None) -> HybridRecommender:
        if name is None:
            return self._hybrid
        if name not in parts:
            raise UnknownPartError(name, sorted(parts))
        return self._hybrid.alone(name)

    def lists(self, histories: Sequence[History], n: int, wishes: Reranking) -> Iterator[MixedList]:
        """
        A list for each history, filled up with popular books; only these where no taste is known.

        With diversity, what the hybrid says and what is popular are each varied by themselves.

        Raises:
            UnknownPartError: the hybrid has no such part.
        """
        hybrid, barred = self.asked(wishes.model), self._barred(wishes.filters)
        for start in range(0, len(histories), READERS_AT_ONCE):
            block = histories[start : start + READERS_AT_ONCE]
            known = [history for history in block if len(history.liked)]
            scores = iter(_scores(hybrid, known, wishes.popularity_damping) if known else ())
            for history in block:
                said = next(scores) if len(history.liked) else None
                excluded = _excluded(history, wishes.filters, barred)
                yield self._mixed(said, excluded, n, wishes.diversity)

    def around(self, book_nums: BookNums, n: int, wishes: Reranking) -> RankedBooks:
        """
        Books like some books: the mean of how like each of these they are.

        Raises:
            UnknownPartError: the hybrid has no such part that knows similar books.
        """
        hybrid = self.asked_for_similar(wishes.model)
        near = np.stack([hybrid.similarity(int(num)) for num in book_nums])
        known = np.isfinite(near)
        scores = np.where(known, near, 0).mean(axis=0, dtype=np.float32)
        scores[~known.any(axis=0)] = -np.inf
        return self.fitting(scores, n, wishes, book_nums)

    def fitting(
        self,
        scores: Scores,
        n: int,
        wishes: Reranking,
        left_out: BookNums | None = None,
    ) -> RankedBooks:
        """The books of the highest scores that fit the filters; `scores` is changed in place."""
        excluded = [nums for nums in (self._barred(wishes.filters), left_out) if nums is not None]
        return self._varied_top(
            scores, np.concatenate(excluded) if excluded else None, n, wishes.diversity
        )

    def _barred(self, filters: Filters) -> BookNums | None:
        """None where nothing is: the usual case, which must cost nothing."""
        return None if filters == NO_FILTERS else filters.barred(self._catalogue, self._books)

    def _mixed(
        self, said: Scores | None, excluded: BookNums, n: int, diversity: float
    ) -> MixedList:
        if said is None:
            popularity = self._popularity.score(History.of([]))
            popular = self._varied_top(popularity, excluded, n, diversity)
            return MixedList(popular, 0, FALLBACK)
        head = self._varied_top(said, excluded, n, diversity)
        if len(head) >= n:
            return MixedList(head, n, MODEL)
        popularity = self._popularity.score(History.of([]))
        excluded = np.concatenate([excluded, head.book_nums])
        tail = self._varied_top(popularity, excluded, n - len(head), diversity)
        return MixedList(_joined(head, tail), len(head), MODEL if len(head) else FALLBACK)

    def _varied_top(
        self, scores: Scores, excluded: BookNums | None, n: int, diversity: float
    ) -> RankedBooks:
        if not diversity:
            return rank(scores, n, excluded)
        ranked = rank(scores, max(n, POOL), excluded)
        likeness_to = likeness(self._hybrid, self._catalogue, ranked.book_nums[:POOL])
        return diversified(ranked, likeness_to, diversity, n)


def _scores(
    hybrid: HybridRecommender, histories: Sequence[History], damping: float | None
) -> ScoreMatrix:
    if damping is None:
        return hybrid.score_many(histories)
    return hybrid.score_many_damped(histories, damping)


def _excluded(history: History, filters: Filters, barred: BookNums | None) -> BookNums:
    seen = history.book_nums if filters.exclude_seen else np.empty(0, np.int32)
    return seen if barred is None else np.concatenate([seen, barred])


def _joined(head: RankedBooks, tail: RankedBooks) -> RankedBooks:
    """The tail behind the head, its scores shifted below the head's."""
    if not len(head) or not len(tail):
        return head if len(head) else tail
    below = tail.scores - tail.scores[0] + head.scores.min() - 1
    return RankedBooks(
        np.concatenate([head.book_nums, tail.book_nums]),
        np.concatenate([head.scores, below]),
    )
