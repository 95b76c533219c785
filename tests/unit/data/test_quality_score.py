import pytest

from pipelines.data.drift import DriftBounds, drift_between
from pipelines.data.quality_gate import QualityRules, judge
from pipelines.data.quality_score import Intake, QualityScore, part_of, quality_score
from pipelines.pipeline_settings import QualityWeights
from tests.batches import books, profiled, ratings

WEIGHTS = QualityWeights().model_dump()
RULES = QualityRules(minimum_score=50.0, minimum_kept_share=0.5)


def scored(intake: Intake | None = None, catalogue=None, **known) -> QualityScore:
    profile = profiled(ratings(), catalogue)
    return quality_score(profile, intake or Intake(), weights=WEIGHTS, **known)


def part(score: QualityScore, name: str) -> float | None:
    return next(p.share for p in score.parts if p.name == name)


def test_a_batch_without_a_defect_scores_100():
    assert scored().score == 100.0


def test_every_part_has_a_weight_in_the_settings_and_an_explanation():
    parts = scored().parts
    assert {p.name for p in parts} == WEIGHTS.keys()
    assert all(p.explanation.endswith(".") for p in parts)


@pytest.mark.parametrize(
    ("rule", "name"),
    [
        ("missing_user_id", "completeness"),
        ("rating_out_of_scale", "validity"),
        ("malformed_id", "validity"),
        ("duplicate_pair", "uniqueness"),
        ("unknown_book", "consistency"),
    ],
)
def test_a_row_set_aside_counts_in_the_part_of_its_rule(rule: str, name: str):
    score = scored(Intake({"ratings": {rule: 200}}))
    assert part_of(rule) == name
    assert score.score < 100
    assert [p.name for p in score.parts if p.share not in (1.0, None)] == [name]


def test_editions_that_became_one_book_are_no_defect():
    assert scored(Intake({"books": {"editions_merged": 5}})).score == 100.0


def test_gaps_of_the_catalogue_lower_completeness_and_series_do_not_count():
    gaps = {"language": [None] * 10, "series": [None] * 10}
    assert part(scored(catalogue=books(**gaps)), "completeness") == pytest.approx(1 - 1 / 14)


def test_values_that_were_emptied_lower_validity_and_mended_ones_do_not():
    assert (
        part(scored(Intake(repairs={"books": {"isbn_repaired": 9, "text_cleaned": 9}})), "validity")
        == 1.0
    )
    assert part(scored(Intake(repairs={"books": {"isbn_invalid": 10}})), "validity") == 0.75


def test_freshness_halves_with_its_half_life_and_is_left_out_where_time_is_unknown():
    assert part(scored(age_days=365), "freshness") == 0.5
    assert part(scored(age_days=-3), "freshness") == 1.0
    assert part(scored(), "freshness") is None


def test_drift_lowers_stability():
    drift = drift_between(profiled(ratings(values=[1, 2])), profiled(ratings()), DriftBounds())
    stability = part(scored(drift=drift), "stability")
    assert stability is not None
    assert stability < 1


def test_the_gate_accepts_a_sound_batch_with_its_warnings():
    verdict = judge(scored(), None, [], ["few books are rated"], RULES)
    assert (verdict.accepted, verdict.warnings) == (True, ("few books are rated",))


def test_the_gate_refuses_a_low_score_and_names_the_setting():
    verdict = judge(QualityScore(49.9, (), {}), None, [], [], RULES)
    assert not verdict.accepted
    assert "49.9, below 50 (BOOKREC_QUALITY__MINIMUM_SCORE)" in verdict.reasons[0]


def test_the_gate_refuses_what_breaks_a_critical_expectation():
    assert judge(scored(), None, ["No reader rates a book twice"], [], RULES).reasons == (
        "No reader rates a book twice",
    )


def test_the_gate_refuses_critical_drift_and_tells_how_to_let_it_pass():
    drift = drift_between(profiled(ratings(values=[1, 2])), profiled(ratings()), DriftBounds())
    (reason,) = judge(scored(), drift, [], [], RULES).reasons
    assert reason.startswith("rating has drifted, PSI ")
    assert "BOOKREC_QUALITY__CRITICAL_PSI" in reason


def test_the_gate_refuses_a_batch_whose_readers_are_others():
    drift = drift_between(profiled(ratings(20)), profiled(ratings(40)[200:]), DriftBounds())
    (reason,) = judge(scored(), drift, [], [], RULES).reasons
    assert reason.startswith("100% of the readers of the batch before are gone")
