import os
import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from pipelines.pipeline_settings import QualitySettings, QualityWeights
from pipelines.settings import PREFIX, Settings

EXAMPLE = Path(__file__).parents[2] / ".env.example"
LINE = re.compile(rf"# ({PREFIX}\w+)=(.*?)\s*(?:#|$)")
READ_ELSEWHERE = re.compile(rf"{PREFIX}LOCAL_\w+")


def documented() -> dict[str, str]:
    found = (LINE.match(line) for line in EXAMPLE.read_text().splitlines())
    pairs = (match.groups() for match in found if match)
    return {name: value for name, value in pairs if not READ_ELSEWHERE.match(name)}


def names(model: type, prefix: str = PREFIX) -> set[str]:
    """Every variable, those of nested settings by two underscores."""
    found: set[str] = set()
    for name, field in model.model_fields.items():
        nested = hasattr(field.annotation, "model_fields")
        variable = f"{prefix}{name.upper()}"
        found |= names(field.annotation, f"{variable}__") if nested else {variable}
    return found


@pytest.fixture
def bare(monkeypatch, tmp_path):
    """No variables of ours, and no .env file."""
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def test_the_example_names_every_setting():
    assert documented().keys() == names(Settings)


@pytest.mark.usefixtures("bare")
def test_the_example_says_what_holds_without_it(monkeypatch):
    without = Settings()
    for name, value in documented().items():
        monkeypatch.setenv(name, value)
    assert Settings() == without


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


@pytest.mark.usefixtures("bare")
@pytest.mark.parametrize("name", ["data_path", "library"])
def test_what_belongs_to_a_source_needs_one(name: str):
    with pytest.raises(ValidationError, match=f"BOOKREC_{name.upper()} needs BOOKREC_SOURCE"):
        Settings(**{name: "shop"})
