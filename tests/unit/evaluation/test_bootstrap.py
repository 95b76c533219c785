import numpy as np
import pytest

from pipelines.evaluation import bootstrap
from pipelines.evaluation.bootstrap import interval, paired_difference


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
