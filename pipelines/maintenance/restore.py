"""
Restoring a backup, into an empty home or in the place of what is broken.

Everything is unpacked beside what there is, and checked, before anything is replaced: databases
under other names, artifacts in a folder of their own. What a kill leaves half done is done by
restoring again.
"""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import structlog
from alembic.util import CommandError
from sqlalchemy import exists, inspect, select

from pipelines.errors import ConfigurationError, StorageError
from pipelines.maintenance.artifact_addresses import move_artifacts
from pipelines.maintenance.backups import ARTIFACTS, DATABASES, Backup, backup_names, backups_folder
from pipelines.maintenance.databases import LIBRARY, MLFLOW, addresses
from pipelines.maintenance.restored_erasures import (
    erase_again,
    put_on_record,
    refuse_other_key,
)
from pipelines.settings import Settings
from pipelines.storage.database import (
    connect,
    database_exists,
    drop_database,
    ensure_database,
    migrate,
    replace_database,
    sibling,
)
from pipelines.storage.dumps import load_dump
from pipelines.storage.local_servers import local_servers, set_database_aside
from pipelines.storage.services import located_services
from pipelines.storage.stored_folder import MANIFEST, folder_files
from pipelines.storage.tables import Base

log = structlog.get_logger()

_DRAFT = ".restoring"
_OF_BUNDLES = ("models", "in-service")
"""In a home: copies of what a registry had, and which of them was in service."""


@dataclass(frozen=True)
class Restored:
    """
    What was done.

    Attributes:
        lost: What was written in this time before the restoration is not there any more.
        erased_again: Erasures that came after the backup.
        problems: What could not be done, a line each.
    """

    backup: Backup
    lost: timedelta
    erased_again: int
    problems: list[str]


def restore(settings: Settings, name: str, *, overwrite: bool = False) -> Restored:
    """
    Put a backup in the place of what there is.

    Args:
        settings: As configured.
        name: One of `backup_names`, or `latest`.
        overwrite: Also where there is a library, or a database that does not start; that is put
            aside.

    Raises:
        ConfigurationError: there is a library already, or its erased readers would come back.
        StorageError: the backup is damaged, or cannot be unpacked; nothing has changed.
    """
    folder = backups_folder(settings)
    name = _named(settings, name)
    backup = Backup.of(folder.recorded(name))
    refuse_other_key(settings)
    with folder.reserved():
        unpacked = folder.reading(name)
        _check(backup, unpacked)
        _make_startable(settings, overwrite=overwrite)
        with located_services(settings) as located:
            if not overwrite:
                _refuse_living(located)
            done = _replace(located, backup, unpacked)
        folder.forget_copy(name)
    log.info("backup_restored", name=name, lost_seconds=done.lost.total_seconds())
    return done


def _named(settings: Settings, name: str) -> str:
    known = backup_names(settings)
    if name == "latest" and known:
        return known[0]
    if name not in known:
        raise StorageError(f"there is no backup {name!r}: `bookrec backups` lists those there are")
    return name


def _check(backup: Backup, folder: Path) -> None:
    found = folder_files(folder)
    found.pop(MANIFEST, None)
    wrong = {n for n in backup.files.keys() | found.keys() if backup.files.get(n) != found.get(n)}
    if wrong:
        raise StorageError(
            f"backup {backup.name} is damaged: {len(wrong)} of its files are not what was written, "
            f"such as {min(wrong)}: take another"
        )


def _make_startable(settings: Settings, *, overwrite: bool) -> None:
    """See that the home's own PostgreSQL starts, if need be without its data."""
    if settings.database_url is not None:
        return
    try:
        with local_servers(settings.home, redis=False):
            return
    except StorageError as error:
        if not overwrite:
            raise StorageError(f"{error}; with --yes its data are put aside") from error
    aside = set_database_aside(settings.home)
    log.warning("broken_database_put_aside", folder=str(aside))


def _refuse_living(settings: Settings) -> None:
    library = addresses(settings)[LIBRARY]
    if (database_exists(library) and _has_rows(library)) or _entries(settings.artifact_root):
        raise ConfigurationError(
            "there is a library here already, which would be replaced: back it up if need be, "
            "then say so with --yes"
        )


def _has_rows(url: str) -> bool:
    engine = connect(url)
    try:
        with engine.connect() as connection:
            there = set(inspect(connection).get_table_names())
            tables = [t for name, t in Base.metadata.tables.items() if name in there]
            return any(connection.scalar(select(exists(select(t)))) for t in tables)
    finally:
        engine.dispose()


def _replace(settings: Settings, backup: Backup, unpacked: Path) -> Restored:
    places = {n: url for n, url in addresses(settings).items() if n in backup.databases}
    root = settings.artifact_root if backup.artifact_root is not None else None
    with _drafts(places) as drafts:
        for name, draft in drafts.items():
            load_dump(draft, unpacked / DATABASES / f"{name}.dump")
        _migrate(drafts[LIBRARY])
        missing = put_on_record(settings, drafts[LIBRARY])
        if root is not None:
            if MLFLOW in drafts:
                move_artifacts(drafts[MLFLOW], Path(backup.artifact_root or ""), root)
            _unpack(unpacked / ARTIFACTS, root / _DRAFT)
        lost = datetime.now(UTC) - backup.began_at
        for name, draft in drafts.items():
            replace_database(places[name], draft)
        if root is not None:
            _put_in_place(root)
    for copies in _OF_BUNDLES:
        shutil.rmtree(settings.home / copies, ignore_errors=True)
    again = erase_again(settings, missing)
    return Restored(backup, lost, again.erasures, again.problems)


@contextmanager
def _drafts(places: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """Empty databases beside those that are to be replaced; what is left of them goes."""
    drafts = {name: sibling(url, "restoring") for name, url in places.items()}
    try:
        for draft in drafts.values():
            drop_database(draft)
            ensure_database(draft)
        yield drafts
    finally:
        for draft in drafts.values():
            drop_database(draft)


def _migrate(url: str) -> None:
    try:
        migrate(url)
    except CommandError as error:
        raise StorageError(
            f"the backup was made by a newer release than this one: {error}"
        ) from error


def _unpack(source: Path, draft: Path) -> None:
    try:
        shutil.rmtree(draft, ignore_errors=True)
        draft.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(source, draft, symlinks=True)
    except (OSError, shutil.Error) as error:
        raise StorageError(f"artifacts cannot be unpacked to {draft}: {error}") from error


def _put_in_place(root: Path) -> None:
    """Entry by entry: the root itself may be a disk that cannot be renamed."""
    for entry in _entries(root):
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
    for entry in (root / _DRAFT).iterdir():
        entry.replace(root / entry.name)
    (root / _DRAFT).rmdir()


def _entries(root: Path) -> list[Path]:
    """What lies in the artifact root, but for what belongs there without any model."""
    left = (_DRAFT, ".gitkeep")
    return [e for e in root.iterdir() if e.name not in left] if root.is_dir() else []
