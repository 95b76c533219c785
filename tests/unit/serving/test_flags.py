"""Every way to switch a feature keeps one contract: off where it says so, on everywhere else."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import pytest
from structlog.testing import capture_logs

from pipelines.errors import ConfigurationError, FeatureOffError
from pipelines.service_settings import FlagSettings
from pipelines.settings import Settings
from serving.flags import LOOK_SECONDS, Feature, Flags

FEATURES = get_args(Feature)


def by_toml(folder: Path, flag: str) -> dict:
    (folder / "flags.toml").write_text(f"{flag} = false\n")
    return {"BOOKREC_FLAGS_FILE": str(folder / "flags.toml")}


def by_json(folder: Path, flag: str) -> dict:
    (folder / "flags.json").write_text(json.dumps({flag: False}))
    return {"BOOKREC_FLAGS_FILE": str(folder / "flags.json")}


def by_section(folder: Path, flag: str) -> dict:
    (folder / "flags.toml").write_text(f"{flag} = true\n[staging]\n{flag} = false\n")
    return {"BOOKREC_FLAGS_FILE": str(folder / "flags.toml"), "BOOKREC_ENVIRONMENT": "staging"}


def by_environment(folder: Path, flag: str) -> dict:
    by_toml(folder, flag)  # says the same of the flag, and more than the environment of none
    return {f"BOOKREC_FLAGS__{flag.upper()}": "false"}


@pytest.mark.parametrize("switch", [by_toml, by_json, by_section, by_environment])
@pytest.mark.parametrize("flag", FEATURES)
def test_what_is_switched_off_is_off_and_nothing_else(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    switch: Callable[[Path, str], dict],
    flag: Feature,
):
    """Exactly the named feature is off, and asking for it is refused by name."""
    for name, value in switch(tmp_path, flag).items():
        monkeypatch.setenv(name, value)
    flags = Flags(Settings())
    assert [f for f in FEATURES if not flags.is_on(f)] == [flag]
    with pytest.raises(FeatureOffError, match=flag):
        flags.require(flag)


def test_everything_is_on_where_nobody_says_otherwise():
    flags = Flags(Settings())
    assert all(flags.is_on(feature) for feature in FEATURES)
    flags.require("reranking")


def test_the_features_are_those_of_the_settings():
    assert set(FEATURES) == set(FlagSettings.model_fields)


def test_the_environment_decides_before_the_file(tmp_path: Path):
    file = tmp_path / "flags.toml"
    file.write_text("[production]\nreranking = false\nexplanations = false\n")
    settings = Settings(environment="production", flags_file=file, flags={"reranking": True})
    flags = Flags(settings)
    assert (flags.is_on("reranking"), flags.is_on("explanations")) == (True, False)


def test_a_section_is_for_its_environment_alone(tmp_path: Path):
    file = tmp_path / "flags.toml"
    file.write_text("[production]\nab_test = false\n")
    assert Flags(Settings(flags_file=file)).is_on("ab_test")
    assert not Flags(Settings(flags_file=file, environment="production")).is_on("ab_test")


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("flags.toml", "reranker = false", "reranker"),
        ("flags.toml", "[prod]\nreranking = false", "prod"),
        ("flags.toml", "[production]\nreranker = false", "production.reranker"),
        ("flags.toml", "reranking = 'perhaps'", "reranking"),
        ("flags.toml", "reranking = ", "flags.toml"),
        ("flags.json", "{", "flags.json"),
    ],
)
def test_a_file_that_says_something_else_is_refused_by_name(
    tmp_path: Path, name: str, text: str, reason: str
):
    (tmp_path / name).write_text(text)
    with pytest.raises(ConfigurationError, match=reason) as refused:
        Flags(Settings(flags_file=tmp_path / name))
    assert "\n" not in str(refused.value)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path):
    with pytest.raises(ConfigurationError, match="No such file"):
        Flags(Settings(flags_file=tmp_path / "none.toml"))


def test_a_change_of_the_file_shows_within_a_second_and_a_broken_one_changes_nothing(
    tmp_path: Path,
):
    file, now = tmp_path / "flags.toml", [0.0]
    file.write_text("")
    flags = Flags(Settings(flags_file=file), clock=lambda: now[0])

    def written(text: str, at: float) -> bool:
        file.write_text(text)
        os.utime(file, (at, at))
        return flags.is_on("explanations")

    assert written("explanations = false", 1)
    now[0] += LOOK_SECONDS
    assert not flags.is_on("explanations")
    now[0] += LOOK_SECONDS
    with capture_logs() as logs:
        assert not written("explanations = ", 2)
    assert [line["event"] for line in logs] == ["flags_unreadable"]
    now[0] += LOOK_SECONDS
    assert written("explanations = true", 3)
