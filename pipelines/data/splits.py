"""Which rows are learnt from, which choose between models, and which judge the choice."""

from enum import IntEnum
from typing import Literal

import numpy as np
import numpy.typing as npt

from pipelines.errors import ConfigurationError

Order = Literal["timestamp", "row", "none"]
"""Where the order of reading comes from; with "none" chance decides what is held out."""

MIN_ROWS_TO_HOLD_OUT = 5
"""Readers with fewer rows are learnt from entirely."""

Counts = npt.NDArray[np.int64]
"""Shape (readers,)."""


class Part(IntEnum):
    """What a row is for."""

    TRAIN = 0
    VALIDATION = 1
    TEST = 2


def split_histories(
    user_nums: npt.NDArray[np.integer],
    *,
    test: float,
    validation: float,
    order: Order,
    rng: np.random.Generator,
) -> npt.NDArray[np.int8]:
    """
    Hold out the newest rows of each reader: the very newest for test, those before for validation.

    A reader of m >= 5 rows gives floor(m * share) rows to each part, at least one, and always
    keeps one to train on. Where no reader has that many, each reader of two rows or more gives the
    newest row, to test and validation in turn by ascending user_num.

    Args:
        user_nums: Dense positions. The rows of one reader stand oldest first, unless `order` is
            "none"; rows of different readers may interleave.
        test: Share of each reader's rows, above 0.
        validation: Share of each reader's rows, above 0; the sum of both is below 1.
        order: With "none" the rows of each reader are shuffled first.
        rng: Drawn from only where `order` is "none"; how the rows of different readers interleave
            changes nothing even then.

    Returns:
        A `Part` for each row.

    Raises:
        ConfigurationError: the shares leave a part, or training, without rows.
    """
    if not (test > 0 and validation > 0 and test + validation < 1):
        raise ConfigurationError(
            f"the shares held out must be above 0 and sum to less than 1: "
            f"test is {test}, validation is {validation}"
        )
    counts = np.bincount(user_nums).astype(np.int64)
    n_test, n_validation = _held_out(counts, test, validation)
    if not n_test.any():
        n_test, n_validation = _last_in_turn(counts)
    age = _age(user_nums, counts, rng if order == "none" else None)
    parts = np.full(len(user_nums), Part.TRAIN, np.int8)
    parts[age < (n_test + n_validation)[user_nums]] = Part.VALIDATION
    parts[age < n_test[user_nums]] = Part.TEST
    return parts


def _held_out(counts: Counts, test: float, validation: float) -> tuple[Counts, Counts]:
    """How many rows of each reader go to test and to validation."""
    # The ceilings leave one row to the next part even where a share is close to 1.
    n_test = np.minimum(_share(counts, test), counts - 2)
    n_validation = np.minimum(_share(counts, validation), counts - 1 - n_test)
    gives = counts >= MIN_ROWS_TO_HOLD_OUT
    return np.where(gives, n_test, 0), np.where(gives, n_validation, 0)


def _share(counts: Counts, share: float) -> Counts:
    # 100 * 0.29 is 28.999... in floating point, and 29 is meant.
    return np.maximum(np.floor(counts * share + 1e-9).astype(np.int64), 1)


def _last_in_turn(counts: Counts) -> tuple[Counts, Counts]:
    """One row of each reader who has two, to test and to validation in turn."""
    givers = np.flatnonzero(counts >= 2)
    n_test, n_validation = np.zeros_like(counts), np.zeros_like(counts)
    n_test[givers[::2]] = 1
    n_validation[givers[1::2]] = 1
    return n_test, n_validation


def _age(
    user_nums: npt.NDArray[np.integer], counts: Counts, rng: np.random.Generator | None
) -> Counts:
    """How many rows of the same reader are newer, in a random order where `rng` is given."""
    by_reader = np.argsort(user_nums, kind="stable")
    if rng is not None:
        shuffled = by_reader[rng.permutation(len(user_nums))]
        by_reader = shuffled[np.argsort(user_nums[shuffled], kind="stable")]
    age = np.empty(len(user_nums), np.int64)
    age[by_reader] = np.repeat(np.cumsum(counts), counts) - 1 - np.arange(len(user_nums))
    return age
