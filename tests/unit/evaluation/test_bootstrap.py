import numpy as np
import pytest
from scipy import stats

from pipelines.evaluation import bootstrap
from pipelines.evaluation.bootstrap import compare, holm, interval, p_value, paired_difference


def rng(seed=0):
    return np.random.default_rng(seed)


def test_interval_comes_near_the_normal_one():
    values = rng().normal(size=2000)
    low, high = interval(values, rng=rng(1))
    half = 1.96 * values.std() / np.sqrt(2000)
    assert low == pytest.approx(values.mean() - half, abs=0.1 * half)
    assert high == pytest.approx(values.mean() + half, abs=0.1 * half)


def test_interval_covers_the_true_mean_about_as_often_as_it_says():
    draws = rng().exponential(size=(200, 100))
    bounds = [interval(values, rng=rng(i), n_resamples=400) for i, values in enumerate(draws)]
    covered = np.mean([low <= 1 <= high for low, high in bounds])
    assert 0.88 <= covered <= 0.99


def test_more_confidence_is_a_wider_interval():
    values = rng().random(50)
    narrow, wide = (interval(values, rng=rng(), confidence=c) for c in (0.5, 0.99))
    assert wide[0] < narrow[0] < narrow[1] < wide[1]


def test_same_seed_same_interval():
    values = rng().random(50)
    assert interval(values, rng=rng(3)) == interval(values, rng=rng(3))
    assert interval(values, rng=rng(3)) != interval(values, rng=rng(4))


def test_drawing_in_chunks_gives_the_number_of_resamples_asked_for(monkeypatch):
    values = rng().random(50)
    whole = interval(values, rng=rng(3), n_resamples=99)
    monkeypatch.setattr(bootstrap, "DRAWS_AT_ONCE", 500)
    assert interval(values, rng=rng(3), n_resamples=99) == whole


def test_constant_values_have_no_width():
    assert interval(np.full(7, 0.25), rng=rng()) == (0.25, 0.25)


def test_no_values_are_refused():
    with pytest.raises(ValueError, match="at least one"):
        interval(np.empty(0), rng=rng())


def test_pairing_takes_the_difference_between_readers_out():
    b = rng().random(500)
    difference = paired_difference(b + 0.01, b, rng=rng(1))
    assert difference.mean == pytest.approx(0.01)
    assert difference.high - difference.low < 1e-12


def test_difference_is_that_of_the_first_to_the_second():
    difference = paired_difference(np.zeros(3), np.ones(3), rng=rng())
    assert (difference.mean, difference.low, difference.high) == (-1, -1, -1)


def test_different_readers_are_refused():
    with pytest.raises(ValueError, match="same readers"):
        paired_difference(np.zeros(3), np.zeros(1), rng=rng())


def test_p_value_of_no_difference_is_1():
    assert p_value(np.full(9, 0.3), np.full(9, 0.3), rng=rng()) == 1


def test_p_value_counts_all_swaps_of_few_readers():
    # Of the 16 ways to swap four readers of equal differences two are as extreme as what was seen.
    found = p_value(np.full(4, 0.1), np.zeros(4), rng=rng())
    assert found == pytest.approx(2 / 16, abs=0.015)


def test_p_value_has_no_direction():
    a, b = rng(1).random(50), rng(2).random(50) + 0.1
    assert p_value(a, b, rng=rng()) == p_value(b, a, rng=rng())


def test_p_value_is_small_but_never_0_for_a_sure_difference():
    assert p_value(np.ones(100), np.zeros(100), rng=rng(), n_permutations=999) == 0.001


def test_p_value_equals_that_of_scipy():
    differences = rng(3).normal(0.15, 1, 120)
    expected = stats.permutation_test(
        (differences, np.zeros(120)),
        lambda a, b, axis: (a - b).mean(axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=10_000,
        rng=rng(4),
    ).pvalue
    assert p_value(differences, np.zeros(120), rng=rng()) == pytest.approx(expected, abs=0.02)


def test_p_values_are_even_where_there_is_no_difference():
    pairs = rng(5).normal(size=(300, 2, 40))
    found = [p_value(a, b, rng=rng(i), n_permutations=400) for i, (a, b) in enumerate(pairs)]
    assert 0.02 <= np.mean(np.array(found) <= 0.05) <= 0.09
    assert 0.42 <= np.mean(np.array(found) <= 0.5) <= 0.58


def test_swapping_in_chunks_makes_as_many_swaps(monkeypatch):
    a, b = rng(1).random(48), rng(2).random(48)
    whole = p_value(a, b, rng=rng(), n_permutations=100)
    monkeypatch.setattr(bootstrap, "DRAWS_AT_ONCE", 480)
    chunked = p_value(a, b, rng=rng(), n_permutations=100)
    assert chunked == pytest.approx(whole, abs=0.15)
    assert round(chunked * 101) == pytest.approx(chunked * 101)


def test_p_value_of_nobody_is_refused():
    with pytest.raises(ValueError, match="at least one reader"):
        p_value(np.empty(0), np.empty(0), rng=rng())


def test_holm_on_the_example_of_three():
    # Times 3, 2 and 1 from the smallest up, and never falling.
    assert holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])


def test_holm_never_exceeds_1_and_leaves_one_alone():
    assert holm([0.8, 0.9]) == [1, 1]
    assert holm([0.2]) == [0.2]
    assert holm([]) == []


def test_comparisons_are_corrected_together():
    base = rng().random(200)
    made = compare(
        base + 0.05 + 0.1 * rng(1).random(200), {"far": base, "near": base + 0.1}, rng=rng(2)
    )
    assert list(made) == ["far", "near"]
    assert made["far"].mean == pytest.approx(0.1, abs=0.01)
    assert made["far"].low < made["far"].mean < made["far"].high
    assert made["far"].n == 200
    assert made["far"].p_value_holm == pytest.approx(2 * made["far"].p_value)
    assert made["near"].p_value_holm >= made["near"].p_value


def test_readers_without_a_value_of_a_rival_are_left_out_of_that_comparison_alone():
    a, b = np.array([0.5, 0.7, 0.9]), np.array([0.5, np.nan, 0.4])
    told = compare(a, {"some": b, "all": a}, rng=np.random.default_rng(0))
    assert (told["some"].n, told["all"].n) == (2, 3)
    assert told["some"].mean == pytest.approx(0.25)
