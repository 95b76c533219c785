"""Backups: whole or not at all, checked before use, never over what lives without being told."""

import json
import stat
from pathlib import Path

import pytest
import sqlalchemy as sa

from pipelines.configuration import MASK
from pipelines.errors import ConfigurationError, StorageError
from pipelines.maintenance import backups, snapshot
from pipelines.maintenance.backups import back_up, backup_names, backups_folder
from pipelines.maintenance.configurations import history, restore_configuration
from pipelines.maintenance.databases import addresses
from pipelines.maintenance.restore import restore
from pipelines.pipeline_settings import MaintenanceSettings
from pipelines.settings import Settings
from pipelines.storage.database import database_exists, drop_database, ensure_database, sibling
from pipelines.storage.local.place import find_place, local_settings
from pipelines.storage.local_servers import local_servers
from pipelines.storage.services import located_services
from tests.integration.maintenance.conftest import add_book, execute, titles

pytestmark = pytest.mark.integration


class Killed(BaseException):
    """As a signal would: nothing catches it."""


def test_what_was_destroyed_is_as_it_was(small: Settings):
    airflow = addresses(small)["airflow"]
    ensure_database(airflow)
    with sa.create_engine(airflow).begin() as connection:
        connection.execute(sa.text("create table dag as select 'maintenance' as dag_id"))
    made = back_up(small)
    assert made.databases == ("library", "mlflow", "airflow")
    add_book(small, "after the backup")
    for url in addresses(small).values():
        drop_database(url)
    (small.artifact_root / "1" / "weights.npy").unlink()
    (small.artifact_root / "2").mkdir()

    done = restore(small, "latest", overwrite=True)

    assert (done.backup, done.problems, done.erased_again) == (made, [], 0)
    assert 0 < done.lost.total_seconds() < 60
    assert titles(small) == ["first"]
    found = {p.relative_to(small.artifact_root).as_posix() for p in small.artifact_root.rglob("*")}
    assert found == {"1", "1/weights.npy"}
    assert (small.artifact_root / "1" / "weights.npy").read_bytes() == b"as trained"
    with sa.create_engine(airflow).begin() as connection:
        assert connection.execute(sa.text("select * from dag")).all() == [("maintenance",)]
    drafts = [sibling(url, "restoring") for url in addresses(small).values()]
    assert not any(map(database_exists, drafts))
    drop_database(airflow)


def test_a_backup_is_private_and_holds_no_secret(small: Settings, monkeypatch):
    monkeypatch.setenv("BOOKREC_WEBHOOKS__TIMEOUT_SECONDS", "7")
    made = back_up(small)
    folder = backups_folder(small).path
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    told = json.loads((folder / made.name / "configuration.json").read_text())
    assert next(s for s in told if s["variable"] == "BOOKREC_DATABASE_URL")["value"] == MASK
    password = sa.make_url(addresses(small)["library"]).password
    assert password
    token = small.api.admin_token.get_secret_value()
    for path in (folder / made.name).rglob("*"):
        if path.is_file():
            assert password.encode() not in path.read_bytes()
            assert token.encode() not in path.read_bytes()


def test_a_living_library_is_replaced_only_when_told(small: Settings):
    back_up(small)
    add_book(small, "after the backup")
    with pytest.raises(ConfigurationError, match="say so with --yes"):
        restore(small, "latest")
    assert titles(small) == ["after the backup", "first"]
    restore(small, "latest", overwrite=True)
    assert titles(small) == ["first"]


@pytest.mark.parametrize("spoil", ["change", "remove", "add"])
def test_a_damaged_backup_is_refused_and_nothing_changes(small: Settings, spoil: str):
    made = back_up(small)
    add_book(small, "after the backup")
    file = backups_folder(small).path / made.name / "artifacts" / "1" / "weights.npy"
    {
        "change": lambda: file.write_bytes(b"as trainee"),
        "remove": file.unlink,
        "add": lambda: file.with_name("more.npy").write_bytes(b"?"),
    }[spoil]()
    with pytest.raises(StorageError, match=r"damaged: 1 of its files .*artifacts/1"):
        restore(small, made.name, overwrite=True)
    assert titles(small) == ["after the backup", "first"]


def test_a_dump_that_cannot_be_loaded_changes_nothing(small: Settings, monkeypatch):
    monkeypatch.setattr(backups, "dump", lambda _, target: target.write_bytes(b"PGDMP of nothing"))
    back_up(small)
    with pytest.raises(StorageError, match="pg_restore"):
        restore(small, "latest", overwrite=True)
    assert titles(small) == ["first"]
    assert (small.artifact_root / "1" / "weights.npy").is_file()


def test_a_killed_backup_is_none_and_the_next_one_sweeps(small: Settings, monkeypatch):
    def dying(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(backups, "copy_settled", dying)
        # Nor may the process clean up after itself, which a kill would not let it do.
        patch.setattr("pipelines.storage.stored_folder.shutil.rmtree", lambda *_, **__: None)
        with pytest.raises(Killed):
            back_up(small)
    assert backup_names(small) == []
    assert len(list(backups_folder(small).path.glob(".2*"))) == 1
    made = back_up(small)
    assert backup_names(small) == [made.name]
    assert not list(backups_folder(small).path.glob(".2*"))


def test_the_newest_are_kept(small: Settings):
    two = small.model_copy(update={"maintenance": MaintenanceSettings(keep_backups=2)})
    made = [back_up(two).name for _ in range(3)]
    assert backup_names(two) == [made[2], made[1]]


def test_one_at_a_time(small: Settings):
    with backups_folder(small).reserved(), pytest.raises(StorageError, match="in use"):
        back_up(small)


def test_another_home_with_its_storage_elsewhere(small: Settings, tmp_path: Path, memory_url: str):
    there = small.model_copy(update={"storage_url": memory_url})
    made = back_up(there)
    assert not (small.home / "mirror" / "backups" / made.name).exists()
    name = sibling(addresses(small)["library"], "other")
    mlflow = sibling(addresses(small)["mlflow"], "other")
    changes = {"home": tmp_path / "other", "database_url": name, "mlflow_tracking_uri": mlflow}
    other = Settings(**changes, storage_url=memory_url, redis_url=small.redis_url, api={"port": 1})
    try:
        assert restore(other, made.name).problems == []
        assert titles(other) == ["first"]
        assert (other.artifact_root / "1" / "weights.npy").read_bytes() == b"as trained"
        root = other.artifact_root.as_uri()
        with sa.create_engine(mlflow).begin() as connection:
            query = "select artifact_location from experiments where name = :name"
            place = connection.execute(sa.text(query), {"name": small.experiment}).scalar_one()
        assert place == root
    finally:
        drop_database(name)
        drop_database(mlflow)


@pytest.fixture
def memory_url() -> str:
    import fsspec

    fsspec.filesystem("memory").rm("/", recursive=True)
    return "memory://store"


def test_a_backup_of_a_newer_release_is_refused(small: Settings):
    execute(small, "update bookrec_migrations set version_num = '9999'")
    back_up(small)
    execute(small, "update bookrec_migrations set version_num = '0008'")
    with pytest.raises(StorageError, match="newer release"):
        restore(small, "latest", overwrite=True)
    assert titles(small) == ["first"]


def test_files_that_change_while_they_are_copied_are_copied_again(tmp_path: Path, monkeypatch):
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    for name in ("kept", "changed", "gone"):
        (source / name).write_text("before")
    whole, calls = snapshot._copy, []

    def busy(one: Path, other: Path) -> bool:
        calls.append(one.name)
        done = whole(one, other)
        if len(calls) == 3:
            (source / "gone").unlink()
            (source / "changed").write_text("afterwards")
            (source / "new").write_text("new")
        return done

    monkeypatch.setattr(snapshot, "_copy", busy)
    snapshot.copy_settled(source, target)
    found = {path.name: path.read_text() for path in target.iterdir()}
    assert found == {"kept": "before", "changed": "afterwards", "new": "new"}
    assert calls.count("kept") == 1


def test_configurations_are_told_and_one_is_written_again(
    small: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    own = tmp_path / "config"
    own.mkdir()
    monkeypatch.setenv("BOOKREC_CONFIG_DIR", str(own))
    monkeypatch.setenv("BOOKREC_DATABASE_URL", "postgresql://ann:geheim@host/db")

    def as_set() -> Settings:
        read = Settings(home=small.home)
        places = ("database_url", "mlflow_tracking_uri", "redis_url")
        return read.model_copy(update={name: getattr(small, name) for name in places})

    file = own / "development.toml"
    file.write_text(
        'experiment = "shop"\n[maintenance]\nkeep_backups = 9\n[source_options]\n"a.b" = "\\"c"\n'
    )
    first = back_up(as_set()).name
    back_up(as_set())
    file.write_text('experiment = "other"\n')
    third = back_up(as_set()).name

    newest, oldest = history(as_set())
    assert (oldest.backup, oldest.changes, newest.backup) == (first, (), third)
    assert [(c.variable, c.before, c.after) for c in newest.changes] == [
        ("BOOKREC_EXPERIMENT", "shop", "other"),
        ("BOOKREC_MAINTENANCE__KEEP_BACKUPS", 9, 7),
        ("BOOKREC_SOURCE_OPTIONS", {"a.b": '"c'}, {}),
    ]
    monkeypatch.setenv("BOOKREC_MAINTENANCE__KEEP_BACKUPS", "2")
    done = restore_configuration(as_set(), first)
    assert done.path == file
    assert "geheim" not in file.read_text()
    assert [(c.variable, c.before, c.after) for c in done.overruled] == [
        ("BOOKREC_MAINTENANCE__KEEP_BACKUPS", 9, 2)
    ]
    again = as_set()
    assert (again.experiment, again.source_options) == ("shop", {"a.b": '"c'})
    (aside,) = own.glob("development.toml.2*")
    assert aside.read_text() == 'experiment = "other"\n'
    with pytest.raises(ConfigurationError, match="set BOOKREC_CONFIG_DIR"):
        restore_configuration(small, first)


def test_a_database_that_does_not_start_is_put_aside_when_told(small: Settings, tmp_path: Path):
    name = back_up(small).name
    broken = Settings(home=tmp_path / "own", storage_url=small.storage_root)
    with local_servers(broken.home, redis=False):
        place = find_place(broken.home.resolve(), local_settings())
    (place.folder / "postgres" / "data" / "PG_VERSION").write_text("1\n")
    with pytest.raises(StorageError, match="with --yes its data are put aside"):
        restore(broken, name)
    assert restore(broken, name, overwrite=True).problems == []
    with located_services(broken, redis=False) as located:
        assert titles(located) == ["first"]
    (aside,) = place.folder.glob("postgres.broken-*")
    assert (aside / "data" / "PG_VERSION").read_text() == "1\n"
