"""
How a batch differs from an earlier one, told from their profiles alone.

The population stability index (PSI) compares shares: of the reference's deciles, of names, and of
gaps; below 0.1 nothing has happened, above 0.25 much has. The two-sample
Kolmogorov-Smirnov statistic is the largest distance between two distribution functions. Both are
exact where both profiles are (`Numbers.exact`, `Names.exact`), else off by about 0.01.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import stats

from pipelines.data.distributions import IdSketch, Names, Numbers
from pipelines.data.profiling import PER_BOOK, PER_READER, Column, Profile

Level = Literal["steady", "warning", "critical"]
Basis = Literal["values", "summary", "gaps"]
"""What was compared: every value, a summary of them, or only whether there is one."""
Floats = npt.NDArray[np.float64]

SMALLEST_SHARE = 1e-4
"""A share of zero, that of a new name for one, counts as this: PSI takes its logarithm."""
HALF_A_ROW = 0.5
"""In a small batch a share of zero counts as this many rows: one row more would not be drift."""
CHANCE = 1e-3
"""Drift that chance alone gives more often than so is none, however high its PSI."""
NOT_COMPARED = ("rated_at",)
"""Time goes on: later dates are not drift. That they are missing is."""
GROWING = (PER_READER, PER_BOOK)
"""They move as a library grows and takes in new readers: told about, but no reason to refuse."""
FEW_VALUES = 20
"""So many different numbers have a share each; of more, deciles are compared."""
SKETCH_ERROR = 0.01
"""How far an inexact distribution function may be off."""


@dataclass(frozen=True)
class DriftBounds:
    """From where on drift is told about, and from where on it refuses a batch."""

    warning_psi: float = 0.1
    critical_psi: float = 1.0

    def level(self, column: str, psi: float, harm: float, p_value: float) -> Level:
        """
        How grave a difference is.

        Args:
            column: Its name.
            psi: All of the difference.
            harm: The part of it that is no improvement.
            p_value: How often chance alone gives so much.
        """
        if p_value > CHANCE or psi < self.warning_psi:
            return "steady"
        return "critical" if harm >= self.critical_psi and column not in GROWING else "warning"


@dataclass(frozen=True)
class ColumnDrift:
    """
    One column against the same column before.

    Attributes:
        psi: That of the values that are there, and that of gaps.
        p_value: How often chance alone gives such a PSI: n·m/(n+m)·PSI follows chi-square.
        ks: Largest distance of the distribution functions; None for names.
        ks_p_value: How often chance alone gives such a distance.
    """

    column: str
    psi: float
    p_value: float
    ks: float | None
    ks_p_value: float | None
    basis: Basis
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


def population_stability_index(
    reference: Floats, current: Floats, floor: float = SMALLEST_SHARE
) -> float:
    """
    Sum of (current - reference) · ln(current / reference) over shares in the same order.

    Symmetric, never negative, 0 for equal shares.
    """
    before, after = (np.maximum(shares, floor) for shares in (reference, current))
    return float(((after - before) * np.log(after / before)).sum())


def kolmogorov_smirnov(reference: Numbers, current: Numbers) -> tuple[float, float]:
    """The largest distance of two distribution functions, and how often chance gives it."""
    at = np.union1d(reference.points, current.points)
    distance = np.abs(reference.share_up_to(at) - current.share_up_to(at)).max(initial=0.0)
    sure = distance if reference.exact and current.exact else max(distance - SKETCH_ERROR, 0.0)
    size = max(round(_harmonic(reference.filled, current.filled)), 1)
    return float(distance), float(stats.kstwo.sf(sure, size))


def _column_drift(
    name: str, reference: Column, current: Column, bounds: DriftBounds
) -> ColumnDrift | None:
    """None where the kind of a column has changed, so that there is nothing to compare."""
    if reference.kind != current.kind:
        return None
    values = None if name in NOT_COMPARED else _value_shares(reference, current)
    gaps = _gap_shares(reference), _gap_shares(current)
    floor = max(SMALLEST_SHARE, HALF_A_ROW / max(min(_rows(reference), _rows(current)), 1))
    moved = 0.0 if values is None else population_stability_index(*values, floor)
    emptied = population_stability_index(*gaps, floor)
    degrees = _degrees(*gaps) + (0 if values is None else _degrees(*values))
    size, rows = (_harmonic(n(reference), n(current)) for n in (_filled, _rows))
    p_value = float(stats.chi2.sf(size * moved + rows * emptied, degrees)) if degrees else 1.0
    # Gaps that were filled are no reason to refuse a batch.
    lost = emptied if current.missing_share > reference.missing_share else 0.0
    ks, ks_p = None, None
    if values is not None and isinstance(reference, Numbers) and isinstance(current, Numbers):
        ks, ks_p = kolmogorov_smirnov(reference, current)
    exact: Basis = "values" if reference.exact and current.exact else "summary"
    return ColumnDrift(
        column=name,
        psi=moved + emptied,
        p_value=p_value,
        ks=ks,
        ks_p_value=ks_p,
        basis="gaps" if values is None else exact,
        level=bounds.level(name, moved + emptied, moved + lost, p_value),
    )


def _value_shares(reference: Column, current: Column) -> tuple[Floats, Floats] | None:
    """Shares of the values that are there, in the same order; None where none are compared."""
    if not reference.filled or not current.filled:
        return None
    if isinstance(reference, Numbers) and isinstance(current, Numbers):
        edges = _edges(reference, current)
        return _binned(reference, edges), _binned(current, edges)
    if isinstance(reference, Names) and isinstance(current, Names) and reference.kind == "names":
        names = sorted({*reference.counts, *current.counts})
        return _named(reference, names), _named(current, names)
    return None


def _gap_shares(column: Column) -> Floats:
    return np.array([1 - column.missing_share, column.missing_share])


def _edges(reference: Numbers, current: Numbers) -> Floats:
    points = np.union1d(reference.points, current.points)
    if reference.exact and current.exact and len(points) <= FEW_VALUES:
        return points
    return np.unique(reference.quantile(np.arange(1, 10) / 10))


def _binned(column: Numbers, edges: Floats) -> Floats:
    return np.diff(column.share_up_to(edges), prepend=0.0, append=1.0)


def _named(column: Names, names: list[str]) -> Floats:
    counts = np.asarray([*(column.counts.get(name, 0) for name in names), column.others], float)
    return counts / max(counts.sum(), 1.0)


def _filled(column: Column) -> int:
    return column.filled


def _rows(column: Column) -> int:
    return column.filled + column.missing


def _degrees(before: Floats, after: Floats) -> int:
    """Of freedom: one less than the shares that are there at all."""
    return max(int(((before > 0) | (after > 0)).sum()) - 1, 0)


def _harmonic(n: int, m: int) -> float:
    return n * m / max(n + m, 1)


def _ids(reference: IdSketch, current: IdSketch) -> IdDrift:
    return IdDrift(
        new=current.share_missing_from(reference),
        vanished=reference.share_missing_from(current),
        exact=reference.exact and current.exact,
    )
