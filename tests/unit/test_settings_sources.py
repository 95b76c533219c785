"""Settings from files: by environment, and secrets; and every error told at once."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from pipelines.configuration import MASK, configured
from pipelines.errors import ConfigurationError
from pipelines.settings import PREFIX, SHIPPED, Settings, get_settings, unknown_settings
from pipelines.settings_sources import ENVIRONMENTS, read_environment

KEY = "k" * 40


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """Nothing set but where files of both kinds lie."""
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    for kind in ("CONFIG", "SECRETS"):
        (tmp_path / kind.lower()).mkdir()
        monkeypatch.setenv(f"BOOKREC_{kind}_DIR", str(tmp_path / kind.lower()))
    get_settings.cache_clear()
    yield tmp_path
    get_settings.cache_clear()


def origin(variable: str) -> str:
    (found,) = [s for s in configured(get_settings()) if s.variable == variable]
    return found.origin


def refused() -> str:
    with pytest.raises(ConfigurationError) as error:
        get_settings()
    return str(error.value)


def test_the_environment_chooses_the_file(folder: Path, monkeypatch):
    (folder / "config" / "production.toml").write_text("[maintenance]\nkeep_versions = 3\n")
    assert get_settings().maintenance.keep_versions == 10
    get_settings.cache_clear()
    monkeypatch.setenv("BOOKREC_ENVIRONMENT", "production")
    settings = get_settings()
    assert (settings.maintenance.keep_versions, settings.maintenance.keep_backups) == (3, 30)
    assert origin("BOOKREC_MAINTENANCE__KEEP_VERSIONS") == f"{folder}/config/production.toml"
    assert origin("BOOKREC_MAINTENANCE__KEEP_BACKUPS") == str(SHIPPED / "production.toml")
    assert origin("BOOKREC_MAINTENANCE__KEEP_RUNS") == "default"


def test_of_two_sources_the_upper_one_counts(folder: Path, monkeypatch):
    monkeypatch.setenv("BOOKREC_ENVIRONMENT", "staging")
    steps = [
        (str(SHIPPED / "staging.toml"), 3, lambda: None),
        (
            f"{folder}/config/staging.toml",
            11,
            lambda: (folder / "config" / "staging.toml").write_text(
                "[maintenance]\nkeep_backups = 11"
            ),
        ),
        (
            f"{folder}/secrets/bookrec_maintenance__keep_backups",
            12,
            lambda: (folder / "secrets" / "bookrec_maintenance__keep_backups").write_text("12\n"),
        ),
        (".env", 13, lambda: (folder / ".env").write_text("BOOKREC_MAINTENANCE__KEEP_BACKUPS=13")),
        (
            "environment",
            14,
            lambda: monkeypatch.setenv("BOOKREC_MAINTENANCE__KEEP_BACKUPS", "14"),
        ),
    ]
    for expected, value, set_it in steps:
        set_it()
        get_settings.cache_clear()
        assert get_settings().maintenance.keep_backups == value
        assert origin("BOOKREC_MAINTENANCE__KEEP_BACKUPS") == expected


def test_secrets_come_from_files_and_are_not_shown(folder: Path):
    secrets = folder / "secrets"
    (secrets / "bookrec_database_url").write_text("postgresql://ann:geheim@host/db\n")
    (secrets / "BOOKREC_API__ADMIN_TOKEN").write_text("geheim")
    (secrets / "bookrec_security").write_text(f'{{"signing_keys": {{"1": "{KEY}"}}}}')
    (secrets / "bookrec_redis_url").write_text("")
    (secrets / "of_another_program").write_text("?")
    settings = get_settings()
    assert settings.database_url == SecretStr("postgresql://ann:geheim@host/db")
    assert settings.api.admin_token == SecretStr("geheim")
    assert settings.security.signing_keys["1"].get_secret_value() == KEY
    assert settings.redis_url is None
    told = {s.variable: s for s in configured(settings)}
    assert told["BOOKREC_DATABASE_URL"].value == MASK
    assert told["BOOKREC_API__ADMIN_TOKEN"].origin == f"{secrets}/BOOKREC_API__ADMIN_TOKEN"
    assert told["BOOKREC_SECURITY__SIGNING_KEYS"].origin == f"{secrets}/bookrec_security"


def test_every_error_is_told_at_once(folder: Path, monkeypatch):
    monkeypatch.setenv("BOOKREC_ENVIRONMENT", "production")
    monkeypatch.setenv("BOOKREC_API__PORT", "none")
    monkeypatch.setenv("BOOKREC_MODELS", "no list")
    monkeypatch.setenv("BOOKREC_MODLES", "[]")
    (folder / "secrets" / "bookrec_databse_url").write_text("x")
    (folder / "config" / "production.toml").write_text(
        'environment = "staging"\ndatabase_url = "x"\n[api]\nprot = 1\n[split]\ntest = 2'
    )
    told = refused()
    for expected in (
        "BOOKREC_API__PORT: Input should be a valid integer",
        "BOOKREC_MODELS: Input should be a valid tuple",
        "there is no setting BOOKREC_MODLES: did you mean BOOKREC_MODELS?",
        "there is no setting BOOKREC_DATABSE_URL: did you mean BOOKREC_DATABASE_URL?",
        "BOOKREC_SPLIT__TEST: Input should be less than 1",
        "production.toml: there is no setting api.prot",
        "production.toml: environment chooses the file",
        "production.toml: database_url is a secret",
    ):
        assert expected in told
    assert "\n" not in told


def test_a_file_that_is_no_toml_is_named(folder: Path):
    (folder / "config" / "development.toml").write_text("port 1")
    assert f"{folder}/config/development.toml cannot be read: " in refused()


def test_a_folder_that_is_not_there_is_named(folder: Path, monkeypatch):
    monkeypatch.setenv("BOOKREC_CONFIG_DIR", str(folder / "nowhere"))
    assert "BOOKREC_CONFIG_DIR: there is no folder" in refused()


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_what_is_shipped_is_valid(environment: str):
    assert list(unknown_settings(Settings, read_environment(SHIPPED, environment))) == []
    assert Settings(environment=environment).environment == environment
