import numpy as np
import pytest

from pipelines.data.splits import Part, split_histories
from pipelines.errors import ConfigurationError

TRAIN, VALIDATION, TEST = Part.TRAIN, Part.VALIDATION, Part.TEST


def split(user_nums, *, test=0.2, validation=0.1, order="row", seed=0):
    return split_histories(
        np.asarray(user_nums, np.int32),
        test=test,
        validation=validation,
        order=order,
        rng=np.random.default_rng(seed),
    )


@pytest.mark.parametrize("order", ["row", "timestamp"])
def test_newest_rows_are_test_and_those_before_validation(order):
    parts = split([0] * 10, order=order)
    assert parts.tolist() == [TRAIN] * 7 + [VALIDATION] + [TEST] * 2
    assert parts.dtype == np.int8


def test_interleaved_readers_are_split_each_by_their_own_rows():
    parts = split([0, 1] * 5)
    assert parts[::2].tolist() == parts[1::2].tolist() == [TRAIN] * 3 + [VALIDATION, TEST]


def test_reader_of_four_rows_is_learnt_from_entirely():
    parts = split([0] * 4 + [1] * 5)
    assert parts.tolist() == [TRAIN] * 4 + [TRAIN] * 3 + [VALIDATION, TEST]


def test_share_is_meant_as_a_decimal_number():
    assert 100 * 0.29 < 29
    assert (split([0] * 100, test=0.29) == TEST).sum() == 29


def test_large_test_share_leaves_a_row_to_validation_and_to_training():
    assert split([0] * 5, test=0.98, validation=0.01).tolist() == [TRAIN, VALIDATION] + [TEST] * 3


def test_large_validation_share_leaves_a_row_to_training():
    assert split([0] * 5, test=0.01, validation=0.98).tolist() == [TRAIN] + [VALIDATION] * 3 + [
        TEST
    ]


def test_without_order_chance_decides():
    by_row = split([0] * 100)
    by_chance = split([0] * 100, order="none")
    assert np.bincount(by_chance).tolist() == np.bincount(by_row).tolist()
    assert by_chance.tolist() != by_row.tolist()
    assert by_chance.tolist() != split([0] * 100, order="none", seed=1).tolist()


def test_without_order_each_row_is_as_likely_to_be_test():
    tests = sum(split([0] * 5, order="none", seed=seed) == TEST for seed in range(1000))
    assert tests.sum() == 1000
    assert tests.min() > 150  # expected 200, standard deviation 12.6
    assert tests.max() < 250


def test_tiny_readers_alone_give_their_last_row_in_turn():
    parts = split([0, 0, 1, 2, 2, 2, 3, 3])
    assert parts.tolist() == [TRAIN, TEST, TRAIN, TRAIN, TRAIN, VALIDATION, TRAIN, TEST]


def test_one_large_reader_spares_the_tiny_ones():
    parts = split([0, 0, 1, 1, 1, 1, 1])
    assert parts[:2].tolist() == [TRAIN, TRAIN]


def test_no_rows_give_no_parts():
    assert split([]).shape == (0,)


@pytest.mark.parametrize(("test", "validation"), [(0.0, 0.1), (0.2, 0.0), (0.6, 0.4)])
def test_shares_that_leave_a_part_without_rows_are_refused(test, validation):
    with pytest.raises(ConfigurationError, match="sum to less than 1"):
        split([0] * 10, test=test, validation=validation)
