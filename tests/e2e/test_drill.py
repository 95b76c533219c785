"""The drill that `make drill` runs, on a library that trains in seconds."""

from pathlib import Path

import pytest
from rich.console import Console

from pipelines.maintenance import drill
from pipelines.run_params import RunParams
from pipelines.settings import Settings

pytestmark = pytest.mark.e2e


def test_after_a_disaster_every_answer_is_the_same_to_the_byte(
    tmp_path: Path, library: Path, monkeypatch: pytest.MonkeyPatch
):
    settings = Settings(home=tmp_path / "home", models=("popularity", "item_knn"))
    destroyed: list[Path] = []

    def destroy(prepared: Settings) -> None:
        whole(prepared)
        destroyed.append(prepared.artifact_root)
        assert not prepared.artifact_root.exists()

    whole = drill._destroy
    monkeypatch.setattr(drill, "_destroy", destroy)
    outcome = drill.drill(
        settings, RunParams(source="interactions", data_path=str(library)), Console()
    )
    assert outcome.different == (), outcome
    assert (outcome.answers, outcome.went_on) == (2 * drill.READERS + 3, drill.READERS)
    assert 0 < outcome.lost_seconds < 120
    assert destroyed
    assert any(destroyed[0].rglob("manifest.json"))
