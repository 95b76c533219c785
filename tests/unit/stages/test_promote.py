from datetime import UTC, datetime

import pytest

from pipelines.registry import RETRAIN_WANTED, ModelVersion
from pipelines.stages.promote import rules_beside


def champion(**tags: str) -> ModelVersion:
    return ModelVersion(1, "run", datetime.now(UTC), tags=tags)


@pytest.mark.parametrize(
    ("rival", "must_prove"),
    [(None, False), (champion(), True), (champion(**{RETRAIN_WANTED: "erasure"}), False)],
)
def test_only_a_champion_that_may_stay_asks_for_proof_of_a_gain(rival, must_prove):
    assert rules_beside(rival).must_prove_gain is must_prove
