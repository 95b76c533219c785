import numpy as np
import pyarrow as pa
import pytest

from pipelines.data.distributions import MAX_HASHES, IdSketch, Names, Numbers, concentration

RNG = np.random.default_rng(0)


def test_few_different_numbers_are_kept_exactly():
    found = Numbers.of(pa.array([3.0, 1.0, None, 3.0, float("nan")]))
    assert (found.filled, found.missing, found.exact) == (3, 2, True)
    assert found.points == [1.0, 3.0]
    assert found.share_up_to(np.array([0, 1, 2, 3, 9])).tolist() == pytest.approx(
        [0, 1 / 3, 1 / 3, 1, 1]
    )
    assert found.quantile(np.array([0.1, 0.5, 1.0])).tolist() == [1.0, 3.0, 3.0]


def test_many_different_numbers_are_kept_to_within_a_hundredth():
    values = RNG.lognormal(size=20_000)
    found = Numbers.of(pa.array(values))
    at = np.quantile(values, RNG.random(200))
    truly = (values[:, None] <= at).mean(axis=0)
    assert not found.exact
    assert len(found.points) == 101
    assert np.abs(found.share_up_to(at) - truly).max() < 0.01


def test_an_empty_column_is_all_missing():
    found = Numbers.of(pa.nulls(4, pa.float64()))
    assert (found.filled, found.missing, found.mean, found.missing_share) == (0, 4, None, 1.0)
    assert found.share_up_to(np.array([1.0])).tolist() == [0.0]


def test_names_are_counted_most_frequent_first():
    found = Names.of(pa.array(["en", None, "de", "en"]))
    assert list(found.counts.items()) == [("en", 2), ("de", 1)]
    assert (found.filled, found.missing, found.distinct, found.others) == (3, 1, 2, 0)


def test_names_in_lists_are_counted_one_by_one_and_an_empty_list_is_missing():
    found = Names.of(pa.array([["sea", "crime"], [], ["sea"]]))
    assert found.counts == {"sea": 2, "crime": 1}
    assert (found.filled, found.missing) == (2, 1)


def test_next_to_nothing_is_kept_of_text():
    found = Names.of(pa.array([f"{num} " + "x" * 500 for num in range(100)]), text=True)
    assert (len(found.counts), found.others, found.distinct) == (10, 90, 100)
    assert max(map(len, found.counts)) == 80


def test_few_ids_are_compared_exactly():
    one, other = IdSketch.of(pa.array([1, 2, 3, 4, 4])), IdSketch.of(pa.array(["4", "5"]))
    assert one.share_missing_from(other) == 0.75
    assert other.share_missing_from(one) == 0.5
    assert one.exact


def test_many_ids_are_compared_to_within_a_few_points():
    n = 20 * MAX_HASHES
    one = IdSketch.of(pa.array(range(n)))
    other = IdSketch.of(pa.array(range(n // 4, 3 * n)))
    assert (one.count, len(one.hashes), one.exact) == (n, MAX_HASHES, False)
    assert one.share_missing_from(other) == pytest.approx(0.25, abs=0.05)
    assert other.share_missing_from(one) == pytest.approx(2.0 / 2.75, abs=0.05)


def test_concentration_is_the_share_of_the_first():
    curve = concentration(np.array([1, 7, 2]))
    assert (curve[0], curve[33], curve[34], curve[100]) == (0.0, 0.7, 0.9, 1.0)


def test_what_is_kept_survives_json():
    for found in (Numbers.of(pa.array(RNG.random(500))), Names.of(pa.array(["a", None]))):
        assert type(found).model_validate_json(found.model_dump_json()) == found
