"""What a reader may ask of a list beyond taste: which books, how varied, how well known."""

from collections.abc import Callable
from typing import Annotated, Self

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, model_validator

from pipelines.data.interactions import Vocabulary
from pipelines.data.languages import language_code
from pipelines.models.base import BookNums, FindsSimilarBooks, RankedBooks, Recommender, Scores
from pipelines.models.catalogue import Catalogue
from pipelines.models.hybrid import HybridRecommender

POOL = 500
"""
How many of the best books diversity may choose among. Fixed, so that a longer list begins with the
shorter one; books that rank lower follow as they rank.
"""

LikenessTo = Callable[[int], Scores]
"""
From a book_num to how like it each book of some list is: 0 is nothing in common, 1 as like as any.
"""
Name = Annotated[str, Field(max_length=200)]
Names = Annotated[tuple[Name, ...], Field(max_length=100)]
Year = Annotated[int, Field(ge=-9999, le=9999)]
Knob = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class Filters(BaseModel):
    """
    Which books may be shown: those that fit one of the names of every field that is given.

    Names are compared as `catalogue.folded` does. A book of which the catalogue does not say what
    is asked for does not fit; nor does any book fit a name that the catalogue does not have.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    genres: Names = ()
    languages: Names = ()
    """Codes as in the catalogue, or English names of languages."""
    authors: Names = ()
    from_year: Year | None = None
    to_year: Year | None = None
    min_rating: float | None = Field(None, allow_inf_nan=False)
    """Of the mean of all readers' ratings, on the scale of the source."""
    exclude: Annotated[tuple[Name, ...], Field(max_length=10_000)] = ()
    """Ids of books, as a URL writes them; unknown ones are ignored."""
    only: Annotated[tuple[Name, ...], Field(max_length=10_000)] | None = None
    """Ids of the books to choose among, likewise; all books where it is None."""
    exclude_seen: bool = True
    """Whether books that the reader has met are left out, liked or not."""

    @model_validator(mode="after")
    def _years_in_order(self) -> Self:
        if None not in (self.from_year, self.to_year) and self.from_year > self.to_year:  # type: ignore[operator] # neither is None here
            raise ValueError(f"from_year {self.from_year} is after to_year {self.to_year}")
        return self

    def barred(self, catalogue: Catalogue, books: Vocabulary) -> BookNums:
        """The book_nums that do not fit, seen ones aside; ascending."""
        allowed = np.ones(len(catalogue), np.bool_)
        for fitting in self._fitting(catalogue):
            allowed &= fitting
        if self.only is not None:
            allowed &= _mask(books.known(self.only), len(catalogue))
        allowed[books.known(self.exclude)] = False
        return np.flatnonzero(~allowed).astype(np.int32)

    def _fitting(self, catalogue: Catalogue) -> list[npt.NDArray[np.bool_]]:
        """For each field that is given, which books fit it; NaN compares false."""
        size = len(catalogue)
        fitting = []
        if self.genres:
            fitting.append(_mask(catalogue.genres.books(self.genres), size))
        if self.languages:
            codes = [language_code(name) or name for name in self.languages]
            fitting.append(_mask(catalogue.languages.books(codes), size))
        if self.authors:
            fitting.append(_mask(catalogue.authors.books(self.authors), size))
        if self.from_year is not None:
            fitting.append(catalogue.years >= self.from_year)
        if self.to_year is not None:
            fitting.append(catalogue.years <= self.to_year)
        if self.min_rating is not None:
            fitting.append(catalogue.mean_ratings >= self.min_rating)
        return fitting


class Reranking(BaseModel):
    """How a list is to differ from what the model alone would give; by default not at all."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: Name | None = None
    """The part of the hybrid that is asked alone; all of them together where it is None."""
    filters: Filters = Filters()
    diversity: Knob = 0.0
    """0 is as ranked, 1 the most varied; see `diversified`."""
    popularity_damping: Knob | None = None
    """0 looks at the reader alone, 1 spreads most; see `exposure.damped`. None: the model's own."""


NO_FILTERS = Filters()
UNCHANGED = Reranking()


def diversified(
    ranked: RankedBooks, likeness_to: LikenessTo, knob: float, n: int, *, pool: int = POOL
) -> RankedBooks:
    """
    The best `n` by maximal marginal relevance: each the best that is unlike what stands above it.

    Picks argmax of (1 - knob) relevance - knob (likeness to the likest book picked before), where
    relevance is the score scaled to [0, 1] over the pool; of equals the better ranked. Carbonell &
    Goldstein, "The Use of MMR, Diversity-Based Reranking for Reordering Documents and Producing
    Summaries", SIGIR 1998.

    Args:
        ranked: Best first.
        likeness_to: Asked of every book that is picked; answers for the pool.
        knob: 0 ignores likeness, 1 ignores relevance but for the first pick.
        n: Longest list wanted.
        pool: How many books at the head of `ranked` are chosen among; the rest follows as ranked.

    Returns:
        Books with the scores they had, which so need not descend.
    """
    pool = min(pool, len(ranked))
    relevance = _unit(ranked.scores[:pool])
    nearest = np.zeros(pool, np.float32)
    picked: list[int] = []
    for _ in range(min(n, pool)):
        value = (1 - knob) * relevance - knob * nearest
        value[picked] = -np.inf
        best = int(np.argmax(value))
        picked.append(best)
        nearest = np.maximum(nearest, likeness_to(int(ranked.book_nums[best])))
    order = np.array([*picked, *range(pool, min(n, len(ranked)))], np.intp)
    return RankedBooks(ranked.book_nums[order], ranked.scores[order])


def likeness(hybrid: HybridRecommender, catalogue: Catalogue, book_nums: BookNums) -> LikenessTo:
    """
    How like any book some others are, by what one part of the hybrid calls similar.

    The part is one that reads the catalogue, where there is one and anything is written there;
    else it is the one with the most weight. A similarity is divided by that of the most similar
    book of all. Where no part knows similar books, nothing is alike.
    """
    part = _judge(hybrid, catalogue)
    nothing = np.zeros(len(book_nums), np.float32)

    def to(book_num: int) -> Scores:
        if part is None:
            return nothing
        similarity = part.similarity(book_num)
        top = similarity.max(initial=-np.inf)
        return np.clip(similarity[book_nums] / top, 0, 1) if top > 0 else nothing

    return to


def _judge(hybrid: HybridRecommender, catalogue: Catalogue) -> FindsSimilarBooks | None:
    able = {name: p for name, p in hybrid.parts.items() if isinstance(p, FindsSimilarBooks)}
    if not able:
        return None
    described = catalogue.is_described

    def rank_of(name: str) -> tuple[bool, float]:
        return described and _reads_catalogue(hybrid.parts[name]), hybrid.config.weights[name]

    return able[max(able, key=rank_of)]


def _reads_catalogue(part: Recommender) -> bool:
    return not part.learns_from_readers


def _mask(book_nums: BookNums, size: int) -> npt.NDArray[np.bool_]:
    mask = np.zeros(size, np.bool_)
    mask[book_nums] = True
    return mask


def _unit(scores: Scores) -> Scores:
    """Scaled to [0, 1]; zeros where all are equal."""
    low, high = scores.min(initial=np.inf), scores.max(initial=-np.inf)
    return (scores - low) / (high - low) if high > low else np.zeros_like(scores)
