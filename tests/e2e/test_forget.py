"""`bookrec forget` as a program: what it asks, says and ends with."""

import json
from pathlib import Path

import pytest

from pipelines.settings import get_settings
from pipelines.storage.audit import AuditEntry, AuditLog
from pipelines.storage.unit_of_work import unit_of_work
from tests.e2e.test_command_line import Bookrec, bookrec

pytestmark = pytest.mark.e2e

__all__ = ["bookrec"]


def test_a_reader_is_forgotten_once_asked_for_and_told_of(
    bookrec: Bookrec, library: Path, tmp_path: Path, redis_url: str, monkeypatch
):
    monkeypatch.setenv("BOOKREC_REDIS_URL", redis_url)
    get_settings.cache_clear()
    assert bookrec("run", "--source", "interactions", "--data", library).code == 0
    assert bookrec("export", "--output", tmp_path / "lists.parquet").code == 0

    unknown = bookrec("forget", "--user", "nobody", "--yes")
    assert (unknown.code, "nothing is kept of a reader 'nobody'" in unknown.error) == (1, True)
    named = bookrec("forget", "--user", "7", "--reason", "letter of reader 7", "--yes")
    assert "must not hold the id" in named.error
    unasked = bookrec("forget", "--user", "7")
    assert (unasked.code, "say so with --yes" in unasked.error) == (1, True)
    assert json.loads(bookrec("recommend", "--user", "7", "--json").out)["source"] == "model"

    told = json.loads(bookrec("forget", "--user", "7", "--yes", "--reason", "asked", "--json").out)
    ((library_key, removed),) = told["removed"].items()
    assert removed["ratings"] == 12
    assert removed["exported_rows"] == 10
    assert told["erasures"][0]["reason"] == "asked"
    assert json.loads(bookrec("recommend", "--user", "7", "--json").out)["source"] == "fallback"

    again = bookrec("forget", "--user", "7")
    assert again.code == 0
    assert f"{library_key}: erased on 20" in again.out
    assert "to be retrained" in bookrec("doctor").out
    lifted = bookrec("forget", "--user", "7", "--allow-again")
    assert f"Later batches may bring this reader again: {library_key}" in lifted.out
    assert bookrec("forget", "--user", "7", "--allow-again").code == 1


def test_what_could_not_be_done_is_named_and_the_next_try_completes_it(
    bookrec: Bookrec, library: Path, redis_url: str, monkeypatch
):
    assert bookrec("run", "--source", "interactions", "--data", library).code == 0
    ended = bookrec("forget", "--user", "7", "--yes")  # no Redis answers where settings point
    assert ended.code == 1
    assert "not done: cached lists: " in ended.error
    monkeypatch.setenv("BOOKREC_REDIS_URL", redis_url)
    get_settings.cache_clear()
    told = json.loads(bookrec("forget", "--user", "7", "--yes", "--json").out)
    assert told["problems"] == []
    assert told["erasures"][0]["completed_at"] is not None
    assert told["erasures"][0]["touched"]["ratings"] == 12
    assert bookrec("forget", "--user", "7", "--allow-again").code == 0
    acts = audited()
    assert [(act.action, act.target, act.outcome) for act in acts] == [
        ("reader.allow_again", "reader", "done"),
        ("reader.erase", "reader", "done"),
        ("reader.erase", "reader", "failed"),
    ]
    assert all(act.actor.startswith("shell:") for act in acts)


def audited() -> list[AuditEntry]:
    """What is on record, newest first."""
    url = get_settings().database_url
    assert url is not None
    with unit_of_work(url.get_secret_value()) as session:
        return AuditLog(session).latest(10)
