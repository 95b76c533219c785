"""
What is kept of a column: enough to compare two batches long after the rows are gone, and small.

A column of numbers keeps its distribution function, a column of names its counts, a column of ids
the smallest of its hashes. `exact` says whether anything was lost.
"""

from typing import Literal, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict

MAX_VALUES = 200
"""So many different numbers are kept one by one; of more, the percentiles."""
MAX_NAMES = 1_000
"""So many names keep a count of their own, the most frequent; the others share one."""
MAX_TEXTS = 10
"""Of running text: enough to show what repeats."""
TEXT_LENGTH = 80
MAX_HASHES = 2_048
"""Shares estimated from so many hashes are off by two or three points."""

Floats = npt.NDArray[np.float64]


class _Kept(BaseModel):
    model_config = ConfigDict(frozen=True)

    filled: int
    missing: int
    exact: bool

    @property
    def missing_share(self) -> float:
        """0 for a column without rows."""
        return self.missing / max(self.filled + self.missing, 1)


class Numbers(_Kept):
    """
    A column of numbers.

    Attributes:
        points: Ascending, without repetition.
        cumulative: Share of the numbers that are at most as high as each point.
    """

    kind: Literal["numbers"] = "numbers"
    mean: float | None
    points: list[float]
    cumulative: list[float]

    @classmethod
    def of(cls, column: pa.ChunkedArray | pa.Array) -> Self:
        """Everything that is not a finite number counts as missing."""
        found = column.cast(pa.float64()).drop_null().to_numpy(zero_copy_only=False)
        values = np.sort(found[np.isfinite(found)])
        distinct = values[np.append(True, values[1:] != values[:-1])] if len(values) else values
        exact = len(distinct) <= MAX_VALUES
        points = distinct if exact else np.unique(values[_percentiles(len(values))])
        below = np.searchsorted(values, points, "right")
        return cls(
            filled=len(values),
            missing=len(column) - len(values),
            exact=exact,
            mean=float(values.mean()) if len(values) else None,
            points=points.tolist(),
            cumulative=(below / max(len(values), 1)).tolist(),
        )

    def share_up_to(self, x: Floats) -> Floats:
        """The distribution function; between the points of an inexact one it is interpolated."""
        if not self.points:
            return np.zeros(len(x))
        if not self.exact:
            return np.interp(x, self.points, self.cumulative, left=0.0)
        return np.append(0.0, self.cumulative)[np.searchsorted(self.points, x, "right")]

    def quantile(self, share: Floats) -> Floats:
        """The lowest kept number that at least `share` of the numbers do not exceed."""
        at = np.searchsorted(self.cumulative, share - 1e-12)
        return np.asarray(self.points)[np.minimum(at, len(self.points) - 1)]


class Names(_Kept):
    """
    A column of names, or of lists of names: counts of the most frequent ones.

    `filled` counts rows, which in a column of lists may hold several names each.
    """

    kind: Literal["names", "text"] = "names"
    distinct: int
    counts: dict[str, int]
    others: int

    @classmethod
    def of(cls, column: pa.ChunkedArray | pa.Array, *, text: bool = False) -> Self:
        """
        Args:
            column: Text, or lists of text; an empty list is missing.
            text: Every row is expected to differ, so that next to nothing is kept.
        """
        filled, names = _filled(column), _flat(column)
        counted = pa.Table.from_struct_array(pc.value_counts(names))
        limit = MAX_TEXTS if text else MAX_NAMES
        top = counted.sort_by([("counts", "descending"), ("values", "ascending")])[:limit]
        counts = {row["values"][:TEXT_LENGTH]: row["counts"] for row in top.to_pylist()}
        return cls(
            kind="text" if text else "names",
            filled=filled,
            missing=len(column) - filled,
            exact=len(counted) <= limit,
            distinct=len(counted),
            counts=counts,
            others=len(names) - sum(counts.values()),
        )


class IdSketch(BaseModel):
    """
    Which ids there are, as the smallest of their hashes: a sample that two batches share.

    After Bar-Yossef et al., "Counting distinct elements in a data stream" (2002).
    """

    model_config = ConfigDict(frozen=True)

    count: int
    hashes: list[int]

    @classmethod
    def of(cls, ids: pa.ChunkedArray | pa.Array) -> Self:
        """Of the distinct ids, as text, so that a change of type changes nothing."""
        distinct = pc.unique(ids).drop_null().cast(pa.string())
        hashed = pd.util.hash_array(distinct.to_numpy(zero_copy_only=False)) >> np.uint64(12)
        return cls(count=len(distinct), hashes=np.sort(hashed)[:MAX_HASHES].tolist())

    def without(self, one: str) -> Self:
        """The sketch without the hash of an id, which anybody could make again from the id."""
        (gone,) = self.of(pa.array([one])).hashes
        return self.model_copy(update={"hashes": [h for h in self.hashes if h != gone]})

    @property
    def exact(self) -> bool:
        return self.count <= MAX_HASHES

    def share_missing_from(self, other: "IdSketch") -> float:
        """What share of these ids the other batch lacks; 0 if there are none."""
        ends = [s.hashes[-1] for s in (self, other) if not s.exact]
        mine, theirs = (np.asarray(s.hashes, np.int64) for s in (self, other))
        if ends:  # below the lower end both are complete
            mine = mine[mine <= min(ends)]
        return float(np.isin(mine, theirs, invert=True).mean()) if len(mine) else 0.0


def concentration(counts: npt.NDArray[np.int64]) -> list[float]:
    """The share of the sum that the highest 0, 1, … 100 % of the counts make up."""
    if not len(counts):
        return []
    sums = np.append(0, np.cumsum(np.sort(counts)[::-1]))
    at = np.ceil(np.linspace(0, 1, 101) * len(counts) - 1e-9).astype(int)
    return [float(share) for share in np.round(sums[at] / sums[-1], 5)]


def _percentiles(n: int) -> npt.NDArray[np.int64]:
    """Where the percentiles 0 to 100 stand among n sorted numbers."""
    return np.clip(np.ceil(np.linspace(0, 1, 101) * n).astype(np.int64) - 1, 0, n - 1)


def _is_list(column: pa.ChunkedArray | pa.Array) -> bool:
    return bool(pa.types.is_list(column.type))


def _filled(column: pa.ChunkedArray | pa.Array) -> int:
    if _is_list(column):
        return int(pc.sum(pc.greater(pc.list_value_length(column), 0)).as_py() or 0)
    return len(column) - int(column.null_count)


def _flat(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    flat = pc.list_flatten(column) if _is_list(column) else column
    texts = flat.drop_null().cast(pa.string())
    return texts.combine_chunks() if isinstance(texts, pa.ChunkedArray) else texts
