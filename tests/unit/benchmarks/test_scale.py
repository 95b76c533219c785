import math

import pytest

from benchmarks.scale import Point, reason_to_skip, slope


def test_slope_is_the_exponent():
    found = slope([Point("m", n, n**1.5, 1.0) for n in (10, 100, 1000)])
    assert found == pytest.approx((1.5, 0), abs=1e-6)


def test_two_sizes_give_a_slope_of_unknown_accuracy():
    found = slope([Point("m", n, float(n), 1.0) for n in (10, 100)])
    assert found is not None
    assert found[0] == pytest.approx(1)
    assert math.isinf(found[1])


def test_one_size_gives_no_slope():
    assert slope([Point("m", 10, 1.0, 1.0), Point("m", 100, note="skipped")]) is None


def test_the_first_size_is_never_skipped():
    assert reason_to_skip(None, 10, limit=1) == ""


def test_a_fit_that_would_take_too_long_is_skipped():
    last = Point("m", 10, seconds=1.0, peak_mib=1.0)
    assert reason_to_skip(last, 100, limit=20).startswith("predicted 32 s")
    assert reason_to_skip(last, 100, limit=60) == ""


def test_a_fit_that_would_take_too_much_memory_is_skipped():
    last = Point("m", 10, seconds=1.0, peak_mib=1e9)
    assert "MiB" in reason_to_skip(last, 100, limit=60)


def test_what_follows_a_skipped_size_is_skipped():
    assert reason_to_skip(Point("m", 10, note="too long"), 100, limit=60)
