import pytest
from pydantic import ValidationError

from pipelines.settings import QualitySettings, QualityWeights


def test_never_means_no_schedule():
    assert QualitySettings(schedule="never").schedule is None


def test_weights_of_nothing_but_parts_that_may_be_unknown_are_refused():
    nothing = dict.fromkeys(("completeness", "validity", "uniqueness", "consistency"), 0)
    with pytest.raises(ValidationError, match="must have a weight"):
        QualityWeights(**nothing)


@pytest.mark.parametrize("score", [-1, 101])
def test_a_minimum_score_lies_between_0_and_100(score: float):
    with pytest.raises(ValidationError):
        QualitySettings(minimum_score=score)
