import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.data.splits import Part, split_histories

user_nums = st.lists(st.integers(0, 6), max_size=80).map(lambda nums: np.asarray(nums, np.int32))
shares = st.tuples(st.floats(0.01, 0.97), st.floats(0.01, 0.97)).filter(lambda s: sum(s) < 0.99)
orders = st.sampled_from(["timestamp", "row", "none"])
seeds = st.integers(0, 2**32 - 1)


def split(nums, shares, order, seed):
    rng = np.random.default_rng(seed)
    return split_histories(nums, test=shares[0], validation=shares[1], order=order, rng=rng)


@given(user_nums, shares, orders, seeds)
def test_every_row_has_one_part(nums, shares, order, seed):
    """Parts are disjoint and complete."""
    parts = split(nums, shares, order, seed)
    assert parts.shape == nums.shape
    assert set(parts.tolist()) <= set(Part)


@given(user_nums, shares, orders, seeds)
def test_held_out_readers_keep_a_row_to_train_on(nums, shares, order, seed):
    """Whoever is judged on is also learnt from."""
    parts = split(nums, shares, order, seed)
    assert set(nums[parts != Part.TRAIN]) <= set(nums[parts == Part.TRAIN])


@given(user_nums, shares, seeds)
def test_time_never_runs_backwards_within_a_reader(nums, shares, seed):
    """With a known order a reader's parts stand as train, validation, test."""
    parts = split(nums, shares, "row", seed)
    for reader in set(nums.tolist()):
        own = parts[nums == reader]
        assert own.tolist() == sorted(own.tolist())


@given(user_nums, shares, seeds)
def test_counts_follow_the_shares(nums, shares, seed):
    """A reader of five rows or more gives each part its share, at least one row."""
    parts = split(nums, shares, "row", seed)
    for reader, m in zip(*np.unique(nums, return_counts=True), strict=True):
        if m >= 5:
            own = parts[nums == reader]
            n_test = min(max(int(m * shares[0]), 1), m - 2)
            assert (own == Part.TEST).sum() == n_test
            n_validation = min(max(int(m * shares[1]), 1), m - 1 - n_test)
            assert (own == Part.VALIDATION).sum() == n_validation


@given(user_nums, shares, orders, seeds, st.randoms(use_true_random=False))
def test_interleaving_of_other_readers_changes_nothing(nums, shares, order, seed, random):
    """Only the order of a reader's own rows matters to that reader."""
    shuffled = nums.tolist()
    random.shuffle(shuffled)
    moved = np.asarray(shuffled, np.int32)
    before, after = split(nums, shares, order, seed), split(moved, shares, order, seed)
    for reader in set(shuffled):
        assert before[nums == reader].tolist() == after[moved == reader].tolist()


@given(user_nums, shares, orders, seeds)
def test_same_seed_same_split(nums, shares, order, seed):
    """The split is a function of its arguments."""
    assert split(nums, shares, order, seed).tolist() == split(nums, shares, order, seed).tolist()


@given(st.lists(st.integers(0, 6), min_size=2, max_size=80).filter(lambda x: len(set(x)) < len(x)))
def test_there_is_always_someone_to_judge_by(nums):
    """A test reader exists as soon as any reader has two rows."""
    assert (split(np.asarray(nums), (0.2, 0.1), "row", 0) == Part.TEST).any()


@pytest.mark.parametrize("order", ["row", "none"])
def test_reader_major_and_mixed_rows_agree_on_a_large_case(order):
    """The laws hold beyond what Hypothesis draws."""
    rng = np.random.default_rng(0)
    nums = rng.integers(0, 500, 20_000)
    in_order = np.argsort(nums, kind="stable")
    assert np.array_equal(
        split(nums, (0.2, 0.1), order, 7)[in_order], split(nums[in_order], (0.2, 0.1), order, 7)
    )
