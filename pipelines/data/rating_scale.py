"""What a rating says: the scale it stands on, and from where on it means "liked"."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import structlog

log = structlog.get_logger()

Scale = tuple[float, float]
"""Lowest and highest rating."""
Ratings = npt.NDArray[np.float64]
"""One number a rating; NaN is an implicit positive."""

Counts = npt.NDArray[np.int64]
"""How many ratings are of each value."""

IMPLICIT_SCALE = (0.0, 1.0)
"""Where nobody rated: every row is a positive."""
USUAL_TOPS = (1.0, 5.0, 10.0, 100.0)
STRAY_SHARE = 0.001
"""So few ratings outside a scale are typing errors rather than another scale."""
STRAYS_IN_A_SMALL_FILE = 3
"""So many are too, as long as they are at most 1 % of the file."""
LIKED_FROM = 0.7
"""Share of the scale from which on a rating means "liked": 4 of 1..5, 8 of 1..10."""
MIN_LIKED_SHARE = 0.05
"""Where fewer ratings reach the threshold, the numbers are probably counts, not opinions."""


def infer_scale(ratings: pa.Array | pa.ChunkedArray) -> Scale:
    """
    The scale that ratings of unknown origin most likely stand on.

    The top is the first of 1, 5, 10, 100 and the highest rating that leaves but strays above.
    The bottom is 0 if more than strays lie beneath 1 or the top is 1, minus the top if more than
    strays are negative (then the top is sought among absolute values), else 1. Strays are at most
    0.1 % of the ratings, or at most 3 and 1 %.
    """
    counted = pc.value_counts(ratings)  # few are distinct
    values, counts = (counted.field(name).to_numpy() for name in ("values", "counts"))
    known = np.isfinite(values)
    values, counts = values[known], counts[known]
    if values.size == 0:
        return IMPLICIT_SCALE
    signed = not _strays(values < 0, counts)
    top = _top(np.abs(values) if signed else values, counts)
    if signed:
        return -top, top
    return (0.0 if top <= 1 or not _strays(values < 1, counts) else 1.0), top


def liked_threshold(scale: Scale) -> float:
    """The lowest rating that means "liked"."""
    low, high = scale
    return low + LIKED_FROM * (high - low)


def preference(ratings: Ratings, scale: Scale) -> npt.NDArray[np.float32]:
    """
    How much each rating speaks for a reader's taste: 1 liked (or implicit), 0 met but not liked.

    Where fewer than 5 % of the ratings would count as liked, every rating does.
    """
    implicit = np.isnan(ratings)
    liked = ratings >= liked_threshold(scale)  # NaN compares false
    n_rated = int((~implicit).sum())
    if n_rated and liked.sum() < MIN_LIKED_SHARE * n_rated:
        log.warning("scale_gives_few_likes", scale=scale, liked=int(liked.sum()), ratings=n_rated)
        return np.ones(len(ratings), np.float32)
    return (liked | implicit).astype(np.float32)


def _top(values: Ratings, counts: Counts) -> float:
    usual = (top for top in USUAL_TOPS if _strays(values > top, counts))
    return next(usual, float(values.max()))


def _strays(outside: npt.NDArray[np.bool_], counts: Counts) -> bool:
    count = int(counts[outside].sum())
    share = count / int(counts.sum())
    return share <= STRAY_SHARE or (count <= STRAYS_IN_A_SMALL_FILE and share <= 0.01)
