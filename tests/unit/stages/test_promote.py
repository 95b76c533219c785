from datetime import UTC, datetime

import pytest

from pipelines.registry import RETRAIN_WANTED, ModelVersion
from pipelines.stages.promote import has_to_go


def champion(**tags: str) -> ModelVersion:
    return ModelVersion(1, "run", datetime.now(UTC), tags=tags)


@pytest.mark.parametrize(
    ("rival", "goes"),
    [(None, False), (champion(), False), (champion(**{RETRAIN_WANTED: "erasure"}), True)],
)
def test_a_champion_that_has_to_be_replaced_is_no_rival(rival, goes):
    assert has_to_go(rival) is goes
