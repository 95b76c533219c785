"""Laws of the quality score and of drift."""

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.data.distributions import IdSketch, Numbers
from pipelines.data.drift import kolmogorov_smirnov, population_stability_index
from pipelines.data.quality_score import Intake, quality_score
from pipelines.pipeline_settings import QualityWeights
from tests.batches import books, profiled, ratings

LAW = settings(deadline=None, max_examples=60)
RULES = ("missing_user_id", "rating_not_a_number", "duplicate_pair", "unknown_book", "malformed_id")
REPAIRS = ("isbn_invalid", "year_out_of_range", "title_missing", "text_cleaned")
COUNTS = st.integers(0, 500)
INTAKES = st.builds(
    lambda r, b, repairs: Intake({"ratings": r, "books": b}, {"books": repairs}),
    st.dictionaries(st.sampled_from(RULES), COUNTS),
    st.dictionaries(st.sampled_from(("missing_book_id", "duplicate_book_id")), COUNTS),
    st.dictionaries(st.sampled_from(REPAIRS), st.integers(0, 10)),
)
FIELDS = ("authors", "year", "language", "genres", "isbn13", "description")
WEIGHTS = st.builds(
    QualityWeights, **dict.fromkeys(QualityWeights.model_fields, st.floats(0.01, 1))
)
SHARES = st.lists(st.floats(0, 1), min_size=3, max_size=3).filter(lambda s: sum(s) > 0)


def score(intake: Intake, weights: QualityWeights, gaps: int = 0, kept: int = 20) -> float:
    """Of a batch whose first books lack everything but a title."""
    emptied = {n: [*[None] * gaps, *books()[n].to_pylist()[gaps:]] for n in FIELDS}
    profile = profiled(ratings(kept), books(**emptied))
    return quality_score(profile, intake, weights=weights.model_dump(), age_days=30).score


@LAW
@given(INTAKES, WEIGHTS)
def test_a_score_lies_between_0_and_100(intake, weights):
    """Whatever came in."""
    assert 0 <= score(intake, weights) <= 100


@LAW
@given(INTAKES, INTAKES, WEIGHTS, st.integers(0, 10), st.integers(0, 10))
def test_more_defects_never_raise_the_score(before, more, weights, gaps, more_gaps):
    """More rows set aside, more values lost, more gaps: never a better score."""
    worse = Intake(
        {
            name: {
                rule: before.set_aside[name].get(rule, 0) + more.set_aside[name].get(rule, 0)
                for rule in {*before.set_aside[name], *more.set_aside[name]}
            }
            for name in ("ratings", "books")
        },
        {
            "books": {
                rule: before.repairs["books"].get(rule, 0) + more.repairs["books"].get(rule, 0)
                for rule in {*before.repairs["books"], *more.repairs["books"]}
            }
        },
    )
    low, high = sorted((gaps, more_gaps))
    assert score(worse, weights, high) <= score(before, weights, low)


@LAW
@given(INTAKES, WEIGHTS, st.sampled_from(RULES), COUNTS)
def test_bad_rows_that_are_added_never_raise_the_score(intake, weights, rule, n):
    """Not even by making the rows that other rules broke a smaller share of all."""
    broken = dict(intake.set_aside["ratings"])
    broken[rule] = broken.get(rule, 0) + n
    worse = Intake({**intake.set_aside, "ratings": broken}, intake.repairs)
    assert score(worse, weights) <= score(intake, weights)


@LAW
@given(INTAKES, WEIGHTS, st.sampled_from(RULES), st.integers(0, 19))
def test_a_row_that_turns_bad_never_raises_the_score(intake, weights, rule, n_readers):
    """The ratings of some readers go from the kept ones to those set aside."""
    broken = dict(intake.set_aside["ratings"])
    broken[rule] = broken.get(rule, 0) + 10 * n_readers
    worse = Intake({**intake.set_aside, "ratings": broken}, intake.repairs)
    assert score(worse, weights, kept=20 - n_readers) <= score(intake, weights)


@LAW
@given(SHARES, SHARES)
def test_psi_is_symmetric_and_never_negative(one, other):
    """And zero for what is the same."""
    a, b = (np.asarray(s) / sum(s) for s in (one, other))
    assert population_stability_index(a, b) >= 0
    assert np.isclose(population_stability_index(a, b), population_stability_index(b, a))
    assert population_stability_index(a, a) == 0


@LAW
@given(st.lists(st.floats(-9, 9), min_size=1), st.lists(st.floats(-9, 9), min_size=1))
def test_the_distance_of_distributions_is_symmetric_and_a_share(one, other):
    """And zero for what is the same."""
    a, b = (Numbers.of(pa.array(values)) for values in (one, other))
    assert 0 <= kolmogorov_smirnov(a, b)[0] <= 1 + 1e-9
    assert kolmogorov_smirnov(a, b) == kolmogorov_smirnov(b, a)
    assert kolmogorov_smirnov(a, a)[0] == 0


@LAW
@given(st.sets(st.integers(0, 50), min_size=1), st.sets(st.integers(0, 50)))
def test_few_ids_are_compared_as_sets(one, other):
    """What a sketch tells of few ids is what the sets tell."""
    a, b = (IdSketch.of(pa.array(sorted(s), pa.int64())) for s in (one, other))
    assert np.isclose(a.share_missing_from(b), len(one - other) / len(one))
