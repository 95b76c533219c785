"""What has expired goes; what anybody may still need stays, however old it is."""

import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from pipelines.maintenance.prune import prune
from pipelines.pipeline_settings import MaintenanceSettings
from pipelines.registry import PIPELINE_RUN
from pipelines.release import rollback
from pipelines.settings import Settings
from pipelines.storage.artifacts import RunFolder
from pipelines.storage.outbox import Outbox
from pipelines.storage.unit_of_work import unit_of_work
from tests.integration.maintenance.conftest import execute
from tests.integration.release.conftest import Releases, releases

pytestmark = pytest.mark.integration

__all__ = ["releases"]
DAY = 86_400


@pytest.fixture
def few(releases: Releases) -> Releases:
    """Where one version and one run are kept, and runs are old after a day."""
    kept = MaintenanceSettings(keep_versions=1, keep_runs=1, run_days=1, log_bytes=10, keep_logs=2)
    return replace(releases, settings=releases.settings.model_copy(update={"maintenance": kept}))


def numbers(few: Releases) -> list[int]:
    return sorted(v.version for v in few.registry.versions())


def pruned(few: Releases, kind: str, **how: bool) -> list[str]:
    done = prune(few.settings, **how)
    assert done.problems == []
    return [one.name for one in done.removed if one.kind == kind]


def test_champion_its_predecessor_aliases_and_the_newest_stay(few: Releases):
    few.released(4)
    few.register(accepted=False)
    few.register(accepted=False)
    few.registry.set_alias("on-trial", 1)
    bundles = {v: few.bundle(v) for v in numbers(few)}
    assert pruned(few, "version", dry_run=True) == ["2", "5"]
    assert numbers(few) == [1, 2, 3, 4, 5, 6]
    assert pruned(few, "version") == ["2", "5"]
    assert numbers(few) == [1, 3, 4, 6]
    assert [v for v, bundle in bundles.items() if bundle.exists()] == [1, 3, 4, 6]
    assert few.roll_back().to_version == 3
    assert pruned(few, "version") == ["4"]  # nothing leads back to it, and version 1 has an alias
    assert few.champion == 3


class Killed(BaseException):
    """As a signal would: nothing catches it."""


def killed(*_: object) -> None:
    raise Killed


def test_what_a_rollback_was_killed_on_its_way_to_stays(few: Releases, monkeypatch):
    few.released(3)
    with monkeypatch.context() as patch:
        patch.setattr(rollback, "carry_out", killed)
        with pytest.raises(Killed):
            few.roll_back(to=1)
    assert pruned(few, "version") == []
    assert few.roll_back(to=1).to_version == 1


def run_folder(settings: Settings, run_id: str, *, days: float) -> Path:
    folder = RunFolder(settings.storage_root, run_id, mirror=settings.home / "mirror")
    with folder.writing("clean", {}) as draft:
        (draft / "quarantine.parquet").write_bytes(b"rows" * 100)
    for path in folder.path.rglob("*"):
        os.utime(path, times=(time.time() - days * DAY,) * 2)
    return folder.path


def test_old_runs_go_but_the_newest_and_those_of_versions_that_stay(few: Releases):
    few.released(1)
    (champion,) = few.registry.versions()
    made_it = run_folder(few.settings, champion.tags[PIPELINE_RUN], days=50)
    old, older = (run_folder(few.settings, name, days=d) for name, d in (("b", 20), ("a", 30)))
    busy = run_folder(few.settings, "busy", days=40)
    run_folder(few.settings, "young", days=0.5)
    newest = run_folder(few.settings, "newest", days=0.1)
    execute(
        few.settings,
        "insert into data_profile (dataset, run_id, accepted, score, quality, profile)"
        """ values ('shop', 'a', true, 90, '{"report": "/runs/a/report.html"}', '{}')""",
    )
    assert pruned(few, "run", dry_run=True) == ["busy", "a", "b"]
    assert old.exists()
    with RunFolder(few.settings.storage_root, "busy", mirror=Path("/nowhere")).reserved():
        os.utime(busy / ".lock", times=(0, 0))
        done = prune(few.settings)
    assert [e.name for e in done.removed] == ["a", "b"]
    assert done.problems == ["run busy: run busy is being run by another process"]
    assert [path.exists() for path in (made_it, old, older, busy, newest)] == [1, 0, 0, 1, 1]
    ((told,),) = execute(few.settings, "select quality ->> 'report' from data_profile")
    assert told.endswith("when its run had expired")


def test_logs_are_put_aside_and_programs_go_on_writing(few: Releases):
    logs = few.settings.home / "logs"
    logs.mkdir(parents=True)
    (logs / "short.log").write_text("short")
    with (logs / "stack.log").open("a") as writer:
        for text in ("the first text", "the second text", "the third text"):
            writer.write(text)
            writer.flush()
            assert pruned(few, "log") == [str(logs / "stack.log")]
        writer.write("new")
    found = {path.name: path.read_text() for path in logs.iterdir()}
    assert found == {
        "short.log": "short",
        "stack.log": "new",
        "stack.log.1": "the third text",
        "stack.log.2": "the second text",
    }


def test_caches_and_task_logs_go_once_they_are_old(few: Releases):
    home = few.settings.home
    few.released(1)
    old, young = home / "cache" / "features" / "a.npy", home / "cache" / "features" / "b.npy"
    runs = home / "airflow" / "logs" / "dag_id=maintenance"
    for path in (old, young, runs / "run_id=1" / "task.log", runs / "run_id=2" / "task.log"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("?")
    for path in (old, runs / "run_id=1" / "task.log"):
        os.utime(path, times=(time.time() - 2 * DAY,) * 2)
    copies = home / "models"
    for number in (1, 7):
        (copies / f"{few.model}-{number}-abc").mkdir(parents=True)
    done = prune(few.settings)
    assert {(e.kind, Path(e.name).name) for e in done.removed} == {
        ("cache", "a.npy"),
        ("task logs", "run_id=1"),
        ("model copy", f"{few.model}-7-abc"),
    }
    assert (old.exists(), young.exists()) == (False, True)
    assert [p.name for p in runs.iterdir()] == ["run_id=2"]
    assert prune(few.settings).removed == []


def test_deliveries_that_have_ended_go_and_those_that_wait_stay(few: Releases):
    database = few.settings.database_url.get_secret_value()
    execute(few.settings, "insert into webhooks (url, secret, event_types) values ('x', 'y', '{}')")
    for event, state, ended in (
        ("old", "delivered", "now() - interval '31 days'"),
        ("given-up", "dead", "now() - interval '31 days'"),
        ("fresh", "delivered", "now()"),
        ("waiting", "pending", "null"),
    ):
        execute(
            few.settings,
            "insert into webhook_deliveries"  # noqa: S608 - nobody else's words
            " (webhook_id, event_id, event_type, body, state, due_at, ended_at)"
            f" select id, '{event}', 't', 'body', '{state}', now() - interval '40 days', {ended}"
            " from webhooks",
        )
    assert pruned(few, "deliveries", dry_run=True) == ["2"]
    assert pruned(few, "deliveries") == ["2"]
    assert pruned(few, "deliveries") == []
    with unit_of_work(database) as session:
        assert {d.event_id for d in Outbox(session).all(None, 10)} == {"fresh", "waiting"}
