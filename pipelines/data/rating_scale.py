"""What a rating says: the scale it stands on, and from where on it means "liked"."""

import numpy as np
import numpy.typing as npt
import structlog

log = structlog.get_logger()

Scale = tuple[float, float]
"""Lowest and highest rating."""
Ratings = npt.NDArray[np.float64]
"""One number a rating; NaN is an implicit positive."""

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


def infer_scale(ratings: Ratings) -> Scale:
    """
    The scale that ratings of unknown origin most likely stand on.

    The top is the first of 1, 5, 10, 100 and the highest rating that leaves but strays above.
    The bottom is 0 if more than strays lie beneath 1 or the top is 1, minus the top if more than
    strays are negative (then the top is sought among absolute values), else 1. Strays are at most
    0.1 % of the ratings, or at most 3 and 1 %.
    """
    known = ratings[np.isfinite(ratings)]
    if known.size == 0:
        return IMPLICIT_SCALE
    signed = not _strays(known < 0)
    top = _top(np.abs(known) if signed else known)
    if signed:
        return -top, top
    return (0.0 if top <= 1 or not _strays(known < 1) else 1.0), top


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


def _top(values: Ratings) -> float:
    usual = (top for top in USUAL_TOPS if _strays(values > top))
    return next(usual, float(values.max()))


def _strays(outside: npt.NDArray[np.bool_]) -> bool:
    share, count = float(outside.mean()), int(outside.sum())
    return share <= STRAY_SHARE or (count <= STRAYS_IN_A_SMALL_FILE and share <= 0.01)
