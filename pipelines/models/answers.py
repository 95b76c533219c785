"""What readers are told: books with their names, and why they are there."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pipelines.data.interactions import History, Id, Vocabulary
from pipelines.models.base import BookNums, RankedBooks
from pipelines.models.catalogue import Catalogue
from pipelines.models.hybrid import HybridRecommender

POPULAR = "popular with readers"
TRENDING = "read by many lately"
MAX_REASONS = 2

Reasons = tuple[str, ...]


@dataclass(frozen=True)
class Recommendation:
    """One book of an answer; ids as they came in."""

    book_id: Id
    title: str
    authors: tuple[str, ...]
    score: float
    reasons: Reasons
    """Short sentences, the strongest first; empty where none was asked for or there is none."""


class Read(NamedTuple):
    """A book that somebody has met, by its id; without a rating it was liked, unless dismissed."""

    book_id: str
    rating: float | None = None
    dismissed: bool = False


@dataclass(frozen=True)
class Answer:
    """Books, best first, and where they come from."""

    items: tuple[Recommendation, ...]
    source: str
    """
    "model", or "fallback": popular books, because nothing is known of this reader's taste, or of
    when books were read where that was asked for.
    """


class AnswerWriter:
    """Puts names to book_nums."""

    def __init__(self, catalogue: Catalogue, books: Vocabulary) -> None:
        self._catalogue = catalogue
        self._books = books

    def answer(self, ranked: RankedBooks, reasons: Sequence[Reasons], source: str) -> Answer:
        """
        A list with its names.

        Args:
            ranked: Best first.
            reasons: Parallel to `ranked`; or empty, for none.
            source: "model" or "fallback".
        """
        rows = zip(
            self._books.ids(ranked.book_nums),
            map(self._catalogue.named, ranked.book_nums.tolist()),
            ranked.scores.tolist(),
            reasons or [()] * len(ranked),
            strict=True,
        )
        items = tuple(Recommendation(i, *names, score, why) for i, names, score, why in rows)
        return Answer(items, source)

    def because(
        self, hybrid: HybridRecommender, liked: History, book_nums: BookNums
    ) -> list[Reasons]:
        """For each book the liked ones that carry it most, or else that it is popular."""
        if not len(book_nums):
            return []
        amounts = hybrid.contributions(liked, book_nums)
        # A met book, where such are shown, is no reason for itself.
        amounts[book_nums[:, np.newaxis] == liked.book_nums] = 0
        return [self._because(nums) for nums in _strongest(liked.book_nums, amounts)]

    def _because(self, book_nums: Sequence[int]) -> Reasons:
        titles = [self._catalogue.named(num)[0] for num in book_nums]
        return tuple([f"because you liked {title}" for title in titles]) or (POPULAR,)


def _strongest(liked: BookNums, amounts: npt.NDArray[np.float32]) -> list[list[int]]:
    """For each row the liked books of its largest positive amounts, ties by column; eats these."""
    rows = np.arange(len(amounts))
    found: list[list[int]] = [[] for _ in rows]
    for _ in range(min(MAX_REASONS, len(liked))):
        columns = amounts.argmax(axis=1)
        carries = amounts[rows, columns] > 0
        for row, num in zip(rows[carries].tolist(), liked[columns[carries]].tolist(), strict=True):
            found[row].append(num)
        amounts[rows, columns] = 0
    return found
