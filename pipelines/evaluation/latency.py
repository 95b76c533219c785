"""How long models take for a list, measured so that they can be compared."""

import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from pipelines.data.interactions import History
from pipelines.evaluation.protocol import Ranks
from pipelines.models.base import Recommender

MOST_LISTS = 200
WARM_UP = 5
"""Lists that are not counted: a first one reads what is not in memory yet."""
LENGTH = 10


class Asked(NamedTuple):
    """A model, and the histories that it is asked about, in its own words."""

    model: Ranks | Recommender
    histories: Sequence[History]


def milliseconds_a_list(models: Mapping[str, Asked]) -> dict[str, float]:
    """
    The median time of one list, one reader at a time, by name of the model.

    Models take turns at each reader, so that a moment at which the machine is busy meets them all.

    Args:
        models: Their histories are of the same readers, at least one.

    Raises:
        ValueError: they are not.
    """
    counts = {len(asked.histories) for asked in models.values()}
    if len(counts) != 1 or 0 in counts:
        raise ValueError(f"models must be asked about the same readers, not {sorted(counts)}")
    (n,) = counts
    places = np.unique(np.linspace(0, n - 1, min(n, MOST_LISTS)).astype(np.int64))
    taken: dict[str, list[float]] = {name: [] for name in models}
    for turn, place in enumerate([*places[:WARM_UP], *places]):
        for name, (model, histories) in models.items():
            began = time.perf_counter()
            model.recommend([histories[place]], LENGTH)
            if turn >= min(WARM_UP, len(places)):
                taken[name].append(time.perf_counter() - began)
    return {name: 1000 * float(np.median(seconds)) for name, seconds in taken.items()}
