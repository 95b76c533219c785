import numpy as np
import pyarrow as pa
import pytest
from scipy import stats

from pipelines.data.distributions import Numbers
from pipelines.data.drift import (
    DriftBounds,
    drift_between,
    kolmogorov_smirnov,
    population_stability_index,
)
from pipelines.data.profiling import Profile
from tests.batches import books, profiled, ratings

RNG = np.random.default_rng(1)
BOUNDS = DriftBounds(warning_psi=0.1, critical_psi=1.0)


def column(reference: Profile, current: Profile, name: str):
    (found,) = (c for c in drift_between(reference, current, BOUNDS).columns if c.column == name)
    return found


def test_psi_by_hand():
    before, after = np.array([0.5, 0.5]), np.array([0.8, 0.2])
    by_hand = 0.3 * np.log(0.8 / 0.5) - 0.3 * np.log(0.2 / 0.5)
    assert population_stability_index(before, after) == pytest.approx(by_hand)


def test_a_name_that_was_not_there_before_counts_with_a_floor():
    found = population_stability_index(np.array([1.0, 0.0]), np.array([0.5, 0.5]))
    assert found == pytest.approx(0.5 * np.log(2) + (0.5 - 1e-4) * np.log(0.5 / 1e-4))


def test_kolmogorov_smirnov_of_few_values_is_that_of_scipy():
    one, other = RNG.integers(1, 6, 500), RNG.integers(2, 6, 700)
    ours, p_value = kolmogorov_smirnov(Numbers.of(pa.array(one)), Numbers.of(pa.array(other)))
    theirs = stats.ks_2samp(one, other, method="asymp")
    assert ours == pytest.approx(theirs.statistic)
    assert p_value == pytest.approx(theirs.pvalue, rel=0.01)


def test_kolmogorov_smirnov_of_summaries_is_that_of_scipy_within_a_hundredth():
    one, other = RNG.normal(size=5_000), RNG.normal(0.3, 1.2, size=8_000)
    ours, _ = kolmogorov_smirnov(Numbers.of(pa.array(one)), Numbers.of(pa.array(other)))
    assert ours == pytest.approx(stats.ks_2samp(one, other).statistic, abs=0.01)


def test_the_same_batch_again_has_not_drifted():
    profile = profiled(ratings())
    drift = drift_between(profile, profile, BOUNDS)
    assert {(c.psi, c.level) for c in drift.columns} == {(0.0, "steady")}
    assert (drift.readers.new, drift.books.vanished, drift.rows_share) == (0.0, 0.0, 1.0)


def test_other_ratings_are_critical_drift():
    found = column(profiled(ratings()), profiled(ratings(values=[1, 2])), "rating")
    assert (found.level, found.ks, found.basis) == ("critical", 1.0, "values")


def test_a_value_between_known_ones_is_drift_too():
    found = column(profiled(ratings(values=[1, 5])), profiled(ratings(values=[1, 3])), "rating")
    assert found.level == "critical"


def test_what_chance_may_give_is_no_drift():
    few = profiled(ratings(2, 2, values=[1, 2])), profiled(ratings(2, 2, values=[2, 3]))
    found = column(*few, "rating")
    assert (found.psi > 1, found.level) == (True, "steady")


def test_lost_values_refuse_and_found_values_only_tell():
    full = profiled(ratings(), books(200))
    poor = profiled(ratings(), books(200, language=[None] * 200, isbn13=[None] * 200))
    assert column(full, poor, "language").level == "critical"
    assert column(full, poor, "isbn13").level == "critical"
    assert column(poor, full, "language").level == "warning"
    assert column(poor, full, "isbn13").level == "warning"


def test_a_library_that_grows_is_told_about_and_not_refused():
    found = column(profiled(ratings(200, 5)), profiled(ratings(200, 10)), "ratings_per_reader")
    assert (found.psi > 1, found.level) == (True, "warning")


def test_new_and_vanished_readers_are_told_apart():
    drift = drift_between(profiled(ratings(20)), profiled(ratings(25)[50:]), BOUNDS)
    assert (drift.readers.new, drift.readers.vanished) == (0.25, 0.25)


def test_later_dates_are_not_drift():
    early, late = ratings(), ratings()
    at = late.schema.get_field_index("rated_at")
    years_later = pa.compute.add(late["rated_at"], pa.scalar(10**15, pa.duration("us")))
    late = late.set_column(at, late.schema.field(at), years_later)
    found = column(profiled(early), profiled(late), "rated_at")
    assert (found.psi, found.basis, found.ks) == (0.0, "gaps", None)
