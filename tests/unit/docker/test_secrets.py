"""Secrets: made once, complete, and handed to programs as variables."""

import json
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import make_url

from pipelines.credentials.passwords import refuse_weak
from pipelines.settings import Settings
from serving.security.policy import refuse_unsafe
from tests.deployment import DOCKER, compose, make_secrets


def made_in(folder: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, str(DOCKER / "make_secrets.py"), str(folder), *options]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_they_are_made_once_for_their_owner_alone(tmp_path: Path):
    folder = tmp_path / "secrets"
    assert made_in(folder).returncode == 0
    first = {file.name: file.read_text() for file in folder.iterdir()}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert made_in(folder).returncode == 0
    assert {file.name: file.read_text() for file in folder.iterdir()} == first


def content(folder: Path) -> dict[str, str]:
    return {file.name: file.read_text() for file in folder.iterdir()}


@pytest.mark.parametrize(
    ("removed", "changed"),
    [
        ("BOOKREC_API__ADMIN_TOKEN", set()),
        ("BOOKREC_REDIS_URL", {"redis.conf", "redis_exporter.json"}),
        ("BOOKREC_DATABASE_URL", {"roles.sql"}),
        ("MLFLOW_BACKEND_STORE_URI", {"roles.sql", "mlflow_auth.ini"}),
    ],
)
def test_one_that_is_removed_is_made_anew_and_those_that_repeat_it_follow(
    tmp_path: Path, removed: str, changed: set[str]
):
    made_in(tmp_path)
    before = content(tmp_path)
    (tmp_path / removed).unlink()
    printed = made_in(tmp_path).stdout
    after = content(tmp_path)
    assert {name for name in before if before[name] != after[name]} == {removed} | changed
    assert all(name in printed for name in {removed} | changed)


def test_what_servers_are_told_is_what_programs_say(tmp_path: Path):
    made_in(tmp_path)
    (tmp_path / "BOOKREC_REDIS_URL").unlink()
    (tmp_path / "redis.conf").unlink()
    (tmp_path / "BOOKREC_REDIS_URL").write_text("redis://:a%2Fb@cache.example:7000/0")
    made_in(tmp_path)
    told = content(tmp_path)
    assert told["BOOKREC_REDIS_URL"] == "redis://:a%2Fb@cache.example:7000/0"
    assert told["redis.conf"] == "requirepass a/b\n"
    assert json.loads(told["redis_exporter.json"]) == {"redis://cache.example:7000": "a/b"}
    command = compose("compose.yaml")["services"]["redis-exporter"]["command"]
    address = command[0].removeprefix("--redis.addr=")
    assert set(json.loads(make_secrets()["secret_files"]()["redis_exporter.json"])) == {address}


def test_servers_may_be_elsewhere(tmp_path: Path):
    made_in(tmp_path, "--postgres", "db.example:6000", "--redis", "cache.example:7000")
    url = make_url((tmp_path / "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN").read_text())
    assert (url.host, url.port, url.database) == ("db.example", 6000, "airflow")
    assert "@cache.example:7000/" in (tmp_path / "BOOKREC_REDIS_URL").read_text()


def test_no_two_stacks_share_any():
    files = make_secrets()["secret_files"]
    one, other = files(), files()
    assert {name for name in one if one[name] == other[name]} == {"alert_webhook"}
    assert one["alert_webhook"] == ""


def test_the_service_starts_with_them_outside_of_development():
    files = make_secrets()["secret_files"]()
    refuse_weak(files["BOOKREC_SECURITY__FIRST_ADMIN_PASSWORD"], what="it")
    refuse_unsafe(
        Settings(
            environment="production",
            api={"admin_token": files["BOOKREC_API__ADMIN_TOKEN"]},
            security={
                "signing_keys": json.loads(files["BOOKREC_SECURITY__SIGNING_KEYS"]),
                "first_admin_password": files["BOOKREC_SECURITY__FIRST_ADMIN_PASSWORD"],
            },
        )
    )
    url = make_url(files["BOOKREC_DATABASE_URL"])
    assert f"create role bookrec login createdb password '{url.password}'" in files["roles.sql"]


@pytest.mark.parametrize("ending", ["", "\n"])
def test_files_named_like_variables_become_variables(tmp_path: Path, ending: str):
    (tmp_path / "BOOKREC_TEST_ONE").write_text(f"a b'c$d{ending}")
    (tmp_path / "redis.conf").write_text("requirepass x")
    (tmp_path / "..data").mkdir()
    printed = subprocess.check_output(
        [
            DOCKER / "with-secrets",
            sys.executable,
            "-c",
            "import os, json; print(json.dumps(dict(os.environ)))",
        ],
        env={"SECRETS_DIR": str(tmp_path)},
        text=True,
    )
    variables = json.loads(printed)
    assert variables["BOOKREC_TEST_ONE"] == "a b'c$d"
    assert "redis.conf" not in variables


def test_a_program_starts_without_any(tmp_path: Path):
    command = [DOCKER / "with-secrets", "echo", "it", "starts"]
    env = {"SECRETS_DIR": str(tmp_path / "none"), "PATH": "/usr/bin:/bin"}
    assert subprocess.check_output(command, env=env, text=True) == "it starts\n"
