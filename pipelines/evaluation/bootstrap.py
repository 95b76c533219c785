"""
How far off a mean over readers may be, by the percentile bootstrap.

Efron & Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]
"""Shape (readers,)."""

DRAWS_AT_ONCE = 4_000_000
"""Bounds memory: 32 MB of indices and as much of values."""


@dataclass(frozen=True)
class Difference:
    """Mean of a - b over n readers, and the bounds of its interval."""

    mean: float
    low: float
    high: float
    n: int


def interval(
    values: Values, *, rng: np.random.Generator, n_resamples: int = 1000, confidence: float = 0.95
) -> tuple[float, float]:
    """
    Bounds of the mean of `values` under resampling of readers.

    Raises:
        ValueError: there are no values.

    Notes:
        O(n_resamples x readers): 0.1 s for 10,000 readers.
    """
    if len(values) == 0:
        raise ValueError("an interval needs at least one value")
    n, step = len(values), max(1, DRAWS_AT_ONCE // len(values))
    draws = (
        rng.integers(n, size=(min(step, n_resamples - done), n))
        for done in range(0, n_resamples, step)
    )
    means = np.concatenate([values[drawn].mean(axis=1) for drawn in draws])
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def paired_difference(
    a: Values,
    b: Values,
    *,
    rng: np.random.Generator,
    n_resamples: int = 1000,
    confidence: float = 0.95,
) -> Difference:
    """
    How much better `a` is than `b` on the same readers, in the same order.

    Raises:
        ValueError: the shapes differ, or there are no readers.
    """
    if a.shape != b.shape:
        raise ValueError(f"paired values must be of the same readers: {a.shape} and {b.shape}")
    differences = a - b
    low, high = interval(differences, rng=rng, n_resamples=n_resamples, confidence=confidence)
    return Difference(float(differences.mean()), low, high, len(differences))
