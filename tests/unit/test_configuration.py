import json
import os
from collections.abc import Iterator

import pytest
import structlog
from pydantic import SecretStr
from typer.testing import CliRunner

from pipelines.cli import app
from pipelines.configuration import MASK, Configured, configured
from pipelines.settings import PREFIX, Settings, get_settings
from tests.unit.test_settings import documented

SECRET = "not-to-be-seen"  # noqa: S105 - opens nothing


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch, tmp_path) -> Iterator[None]:
    """No variables of ours, and a folder of our own for a .env file."""
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    get_settings.cache_clear()
    yield
    structlog.reset_defaults()  # the command has pointed logs at what was stderr then
    get_settings.cache_clear()


def found(settings: Settings | None = None) -> dict[str, Configured]:
    return {s.variable: s for s in configured(settings or Settings())}


def told(variable: str) -> tuple[object, str]:
    setting = found()[variable]
    return setting.value, setting.origin


def test_every_setting_is_told_once():
    told = configured(Settings())
    assert sorted(s.variable for s in told) == sorted(documented())
    assert {s.origin for s in told} == {"default"}


def test_the_environment_goes_before_the_file_and_the_file_before_the_default(
    tmp_path, monkeypatch
):
    (tmp_path / ".env").write_text(
        "BOOKREC_API__PORT=81\nBOOKREC_API__HOST=0.0.0.0\nbookrec_experiment=theirs\n"
        "BOOKREC_QUALITY__WEIGHTS__VALIDITY=0.5\nOTHER=1\n"
    )
    monkeypatch.setenv("BOOKREC_API__PORT", "82")
    monkeypatch.setenv("BOOKREC_REGISTERED_MODEL", "")
    assert told("BOOKREC_API__PORT") == (82, "environment")
    assert told("BOOKREC_API__HOST") == ("0.0.0.0", ".env")  # noqa: S104 - compared, not bound
    assert told("BOOKREC_EXPERIMENT") == ("theirs", ".env")
    assert told("BOOKREC_QUALITY__WEIGHTS__VALIDITY") == (0.5, ".env")
    assert told("BOOKREC_QUALITY__WEIGHTS__UNIQUENESS") == (0.1, "default")
    assert told("BOOKREC_REGISTERED_MODEL") == ("bookrec-hybrid", "default")


def test_a_table_given_as_json_counts_as_set(monkeypatch):
    monkeypatch.setenv("BOOKREC_API", '{"port": 83}')
    monkeypatch.setenv("BOOKREC_HYPERPARAMETERS", '{"item_knn": {"k_neighbors": 7}}')
    assert told("BOOKREC_API__PORT") == (83, "environment")
    assert told("BOOKREC_API__WORKERS") == (1, "default")
    assert told("BOOKREC_HYPERPARAMETERS") == ({"item_knn": {"k_neighbors": 7}}, "environment")


def secrets_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in documented():
        if name.endswith(("_URL", "_URI", "ERASURE_KEY", "_TOKEN", "_PASSWORD")):
            monkeypatch.setenv(name, f"postgresql://ann:{SECRET}@host/db?password={SECRET}")
    monkeypatch.setenv("BOOKREC_SECURITY__SIGNING_KEYS", json.dumps({"2026": SECRET * 3}))
    monkeypatch.setenv("BOOKREC_SOURCE", "postgresql")
    monkeypatch.setenv("BOOKREC_DATA_PATH", f"postgresql://ann:{SECRET}@host/db")
    monkeypatch.setenv("BOOKREC_SOURCE_OPTIONS", json.dumps({"api_token": SECRET, "schema": "s"}))


@pytest.mark.parametrize("words", [["--json"], []])
def test_no_secret_is_shown(monkeypatch, words: list[str]):
    secrets_everywhere(monkeypatch)
    shown = CliRunner().invoke(app, ["config", "show", *words])
    assert shown.exit_code == 0, shown.output
    told = "".join(shown.output.split())  # a table breaks long values into lines
    assert SECRET not in told
    assert told.count(MASK) >= 6
    assert "ann@host/db" in told


def test_a_secret_that_is_not_set_is_told_from_one_that_is(monkeypatch):
    monkeypatch.setenv("BOOKREC_REDIS_URL", f"redis://:{SECRET}@host")
    assert told("BOOKREC_REDIS_URL") == (MASK, "environment")
    assert told("BOOKREC_DATABASE_URL") == (None, "default")
    assert found(Settings(erasure_key=SecretStr("")))["BOOKREC_ERASURE_KEY"].value == ""


def test_as_json_it_is_a_list_of_settings():
    shown = CliRunner().invoke(app, ["config", "show", "--json"])
    (port,) = [s for s in json.loads(shown.stdout) if s["variable"] == "BOOKREC_API__PORT"]
    assert port == {"variable": "BOOKREC_API__PORT", "value": 8080, "origin": "default"}


def test_what_is_malformed_is_named_instead(monkeypatch):
    monkeypatch.setenv("BOOKREC_API__PORT", "none")
    shown = CliRunner().invoke(app, ["config", "show"])
    assert "BOOKREC_API__PORT" in str(shown.exception)
