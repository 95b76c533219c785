"""
How a batch differs from an earlier one, told from their profiles alone.

The population stability index (PSI) compares shares: of the reference's deciles, of names, and of
missing values; below 0.1 nothing has happened, above 0.25 much has. The two-sample
Kolmogorov-Smirnov statistic is the largest distance between two distribution functions. Both are
exact where both profiles are (`Numbers.exact`, `Names.exact`), else off by about 0.01.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import stats

from pipelines.data.distributions import IdSketch, Names, Numbers
from pipelines.data.profiling import Column, Profile

Level = Literal["steady", "warning", "critical"]
Floats = npt.NDArray[np.float64]

SMALLEST_SHARE = 1e-4
"""A share of zero, that of a new name for one, counts as this: PSI takes its logarithm."""
CHANCE = 1e-3
"""Drift that chance alone gives more often than so is none, however high its PSI."""
NOT_COMPARED = ("rated_at",)
"""Time goes on: later dates are not drift. That they are missing is."""
FEW_VALUES = 20
"""So many different numbers have a share each; of more, deciles are compared."""
SKETCH_ERROR = 0.01
"""How far an inexact distribution function may be off."""


@dataclass(frozen=True)
class DriftBounds:
    """From where on drift is told about, and from where on it refuses a batch."""

    warning_psi: float = 0.1
    critical_psi: float = 1.0

    def level(self, psi: float, p_value: float) -> Level:
        """How grave a difference is."""
        if p_value > CHANCE or psi < self.warning_psi:
            return "steady"
        return "critical" if psi >= self.critical_psi else "warning"


@dataclass(frozen=True)
class ColumnDrift:
    """
    One column against the same column before.

    Attributes:
        p_value: How often chance alone gives such a PSI: n·m/(n+m)·PSI follows chi-square.
        ks: Largest distance of the distribution functions; None for names.
        ks_p_value: How often chance alone gives such a distance.
    """

    column: str
    psi: float
    p_value: float
    ks: float | None
    ks_p_value: float | None
    exact: bool
    level: Level


@dataclass(frozen=True)
class IdDrift:
    """Shares of this batch's ids that are new, and of the earlier batch's that have vanished."""

    new: float
    vanished: float
    exact: bool


@dataclass(frozen=True)
class Drift:
    """A batch against the one before it."""

    columns: tuple[ColumnDrift, ...]
    readers: IdDrift
    books: IdDrift
    rows_share: float
    """Ratings of this batch, as a share of the earlier one's."""


def drift_between(reference: Profile, current: Profile, bounds: DriftBounds) -> Drift:
    """Compare every column that both profiles have."""
    both = [name for name in reference.columns if name in current.columns]
    columns = (
        _column_drift(name, reference.columns[name], current.columns[name], bounds) for name in both
    )
    return Drift(
        tuple(c for c in columns if c is not None),
        _ids(reference.reader_ids, current.reader_ids),
        _ids(reference.book_ids, current.book_ids),
        current.ratings / max(reference.ratings, 1),
    )


def population_stability_index(reference: Floats, current: Floats) -> float:
    """
    Sum of (current - reference) · ln(current / reference) over shares in the same order.

    Symmetric, never negative, 0 for equal shares.
    """
    before, after = (np.maximum(shares, SMALLEST_SHARE) for shares in (reference, current))
    return float(((after - before) * np.log(after / before)).sum())


def kolmogorov_smirnov(reference: Numbers, current: Numbers) -> tuple[float, float]:
    """The largest distance of two distribution functions, and how often chance gives it."""
    at = np.union1d(reference.points, current.points)
    distance = np.abs(reference.share_up_to(at) - current.share_up_to(at)).max(initial=0.0)
    sure = distance if reference.exact and current.exact else max(distance - SKETCH_ERROR, 0.0)
    size = np.sqrt(_harmonic(reference.filled, current.filled))
    return float(distance), float(stats.kstwobign.sf(size * sure))


def _column_drift(
    name: str, reference: Column, current: Column, bounds: DriftBounds
) -> ColumnDrift | None:
    """None where the kind of a column has changed, so that there is nothing to compare."""
    if reference.kind != current.kind:
        return None
    before, after = _shares(name, reference, current)
    psi = population_stability_index(before, after)
    p_value = _chance(psi, before, after, _harmonic(_rows(reference), _rows(current)))
    ks, ks_p = None, None
    if isinstance(reference, Numbers) and isinstance(current, Numbers) and name not in NOT_COMPARED:
        ks, ks_p = kolmogorov_smirnov(reference, current)
    exact = reference.exact and current.exact
    return ColumnDrift(name, psi, p_value, ks, ks_p, exact, bounds.level(psi, p_value))


def _shares(name: str, reference: Column, current: Column) -> tuple[Floats, Floats]:
    """What PSI compares of both, in the same order, missing values last."""
    if isinstance(reference, Numbers) and isinstance(current, Numbers) and name not in NOT_COMPARED:
        edges = _edges(reference)
        both = _binned(reference, edges), _binned(current, edges)
    elif isinstance(reference, Names) and isinstance(current, Names) and reference.kind == "names":
        names = sorted({*reference.counts, *current.counts})
        both = _named(reference, names), _named(current, names)
    else:  # of text it is only compared whether there is any
        both = np.ones(1), np.ones(1)
    return _with_missing(reference, both[0]), _with_missing(current, both[1])


def _edges(reference: Numbers) -> Floats:
    if reference.exact and len(reference.points) <= FEW_VALUES:
        return np.asarray(reference.points)
    return np.unique(reference.quantile(np.arange(1, 10) / 10))


def _binned(column: Numbers, edges: Floats) -> Floats:
    return np.diff(column.share_up_to(edges), prepend=0.0, append=1.0)


def _named(column: Names, names: list[str]) -> Floats:
    counts = np.asarray([*(column.counts.get(name, 0) for name in names), column.others], float)
    return counts / max(counts.sum(), 1.0)


def _with_missing(column: Column, shares: Floats) -> Floats:
    missing = column.missing_share
    return np.append(shares * (1 - missing), missing)


def _rows(column: Column) -> int:
    return column.filled + column.missing


def _chance(psi: float, before: Floats, after: Floats, size: float) -> float:
    degrees = int(((before > 0) | (after > 0)).sum()) - 1
    return float(stats.chi2.sf(size * psi, degrees)) if degrees > 0 else 1.0


def _harmonic(n: int, m: int) -> float:
    return n * m / max(n + m, 1)


def _ids(reference: IdSketch, current: IdSketch) -> IdDrift:
    return IdDrift(
        new=current.share_missing_from(reference),
        vanished=reference.share_missing_from(current),
        exact=reference.exact and current.exact,
    )
