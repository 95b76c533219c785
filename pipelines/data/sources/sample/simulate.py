"""
Readers who do not exist, and what they read.

A reader takes up the books with the highest sum of taste, fame and chance, which is sampling
without replacement by the Gumbel trick; most read the volumes of a series in order. Stars follow
taste, the quality of the book, the reader's generosity and noise.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipelines.data.sources.sample.tastes import Matrix, TasteWeights, draw_fame, draw_tastes

Mask = npt.NDArray[np.bool_]
"""Shape (n_readers, n_books), or (n_readers, n_series) where series are meant."""
Nums = npt.NDArray[np.intp]

FIRST_DAY = pd.Timestamp("2022-01-01", tz="UTC")
DAYS = 3 * 365


@dataclass(frozen=True)
class Behaviour:
    """How simulated readers choose and rate."""

    taste_strength: float = 1.9
    """Attraction of a book one standard deviation more to a reader's taste; chance has 1.28."""
    fame_exponent: float = 0.9
    """Of Zipf's law."""
    in_order: float = 0.85
    """Share of readers of a series who read its volumes in order."""
    fewest: int = 5
    most: int = 120
    """Bounds on the ratings of one reader."""
    activity_spread: float = 0.8
    """Of the log-normal law for the number of ratings."""


def simulate_readers(
    catalogue: pd.DataFrame,
    *,
    rng: np.random.Generator,
    n_readers: int = 2000,
    n_ratings: int = 60_000,
) -> pd.DataFrame:
    """
    Ratings by invented readers whose tastes follow genres, authors, series and fame.

    Args:
        catalogue: Columns book_id, year, authors and genres (lists), series (empty if none);
            volumes of a series stand in their order.
        rng: Decides everything that is not in the catalogue.
        n_readers: Readers, numbered from 1.
        n_ratings: Roughly how many ratings to make; bounds on each reader may move the total.

    Returns:
        user_id and book_id (int64), rating (1.0 to 5.0) and rated_at (UTC, about three years),
        oldest first, without duplicate pairs.
    """
    behaviour = Behaviour()
    series = _series(catalogue)
    in_order = rng.random((n_readers, len(series))) < behaviour.in_order
    tastes = draw_tastes(catalogue, TasteWeights(), n_readers, rng)
    attraction = behaviour.taste_strength * tastes + rng.gumbel(size=tastes.shape)
    attraction += draw_fame(catalogue, behaviour.fame_exponent, rng)
    _hold_back_later_volumes(attraction, series, in_order)
    counts = _activity(n_readers, n_ratings, len(catalogue), behaviour, rng)
    turns = rng.random(attraction.shape)
    user_nums, book_nums = _reading_order(_best(attraction, counts), turns, series, in_order)
    frame = pd.DataFrame(
        {
            "user_id": user_nums + 1,
            "book_id": catalogue["book_id"].to_numpy()[book_nums],
            "rating": _stars(tastes, user_nums, book_nums, rng),
            "rated_at": _instants(counts, rng),
        }
    )
    return frame.sort_values(["rated_at", "user_id"], kind="stable", ignore_index=True)


def _series(catalogue: pd.DataFrame) -> list[Nums]:
    """Positions of the volumes of each series that has several."""
    named = np.flatnonzero(catalogue["series"] != "")
    groups = pd.Series(named).groupby(catalogue["series"].to_numpy()[named])
    return [volumes.to_numpy() for _, volumes in groups if len(volumes) > 1]


def _hold_back_later_volumes(attraction: Matrix, series: list[Nums], in_order: Mask) -> None:
    """Let no volume attract more than one before it, in place: ties are cut in catalogue order."""
    for volumes, readers in zip(series, in_order.T, strict=True):
        cell = np.ix_(readers, volumes)
        attraction[cell] = np.minimum.accumulate(attraction[cell], axis=1)


def _activity(
    n_readers: int, n_ratings: int, n_books: int, behaviour: Behaviour, rng: np.random.Generator
) -> npt.NDArray[np.int64]:
    shares = rng.lognormal(sigma=behaviour.activity_spread, size=n_readers)
    wanted = np.rint(shares * n_ratings / shares.sum()).astype(np.int64)
    return np.clip(wanted, behaviour.fewest, min(behaviour.most, n_books))


def _best(attraction: Matrix, counts: npt.NDArray[np.int64]) -> Mask:
    """The `counts` most attractive books of each reader."""
    order = np.argsort(-attraction, axis=1, kind="stable")
    chosen = np.zeros(attraction.shape, bool)
    wanted = np.arange(attraction.shape[1]) < counts[:, None]
    np.put_along_axis(chosen, order, wanted, axis=1)
    return chosen


def _reading_order(
    chosen: Mask, turns: Matrix, series: list[Nums], in_order: Mask
) -> tuple[Nums, Nums]:
    """
    Pairs of user_num and book_num by user_num, each reader's in the order of reading.

    Args:
        chosen: What each reader reads.
        turns: When, were it not for series; any positive numbers of the same shape.
        series: Positions of the volumes of each series.
        in_order: Shape (n_readers, n_series): who keeps to the order of the volumes.
    """
    turns = np.where(chosen, turns, 0)
    for volumes, readers in zip(series, in_order.T, strict=True):
        cell = np.ix_(readers, volumes)
        turns[cell] = np.maximum.accumulate(turns[cell], axis=1)
    user_nums, book_nums = np.nonzero(chosen)
    order = np.lexsort((turns[user_nums, book_nums], user_nums))  # stable: ties by volume
    return user_nums[order], book_nums[order]


def _instants(counts: npt.NDArray[np.int64], rng: np.random.Generator) -> pd.DatetimeIndex:
    """When each rating was given: ascending within each reader, who joins and leaves some day."""
    user_nums = np.repeat(np.arange(len(counts)), counts)
    joined = rng.uniform(0, 0.6, len(counts))
    left = joined + rng.uniform(0.1, 0.4, len(counts))
    moments = rng.random(len(user_nums))
    moments = moments[np.lexsort((moments, user_nums))]
    moments = joined[user_nums] + moments * (left - joined)[user_nums]
    microseconds = (moments * DAYS * 86_400_000_000).astype("timedelta64[us]")
    return FIRST_DAY.as_unit("us") + pd.to_timedelta(microseconds)


def _stars(
    tastes: Matrix,
    user_nums: Nums,
    book_nums: Nums,
    rng: np.random.Generator,
) -> Matrix:
    """Whole stars, 1 to 5, higher where the book suits the reader."""
    generosity = rng.normal(scale=0.4, size=(len(tastes),))
    quality = rng.normal(scale=0.35, size=(tastes.shape[1],))
    stars = 3.3 + 0.4 * tastes[user_nums, book_nums]
    stars += generosity[user_nums] + quality[book_nums] + rng.normal(scale=0.6, size=len(stars))
    return np.clip(np.rint(stars), 1, 5)
