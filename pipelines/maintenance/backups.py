"""
Making backups, and which there are.

A backup is a folder `<storage>/backups/<UTC time>/` that appears whole or not at all: dumps of the
databases, a copy of the artifact root, what was configured, and a manifest with all checksums. It
holds no secret: neither passwords nor the key that recognises erased readers.
"""

import importlib.metadata
import json
import re
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import structlog

from pipelines.configuration import configured
from pipelines.errors import StorageError
from pipelines.maintenance.databases import AIRFLOW, LIBRARY, MLFLOW, present
from pipelines.maintenance.expired import size_of
from pipelines.maintenance.snapshot import copy_settled
from pipelines.release.moving import turn
from pipelines.settings import Settings
from pipelines.storage.database import ping
from pipelines.storage.dumps import dump
from pipelines.storage.stored_folder import StoredFolder

log = structlog.get_logger()

DATABASES, ARTIFACTS, CONFIGURATION = "databases", "artifacts", "configuration.json"
FORMAT = 1
_NAME = "%Y%m%dT%H%M%SZ"
_NAMES = re.compile(r"\d{8}T\d{6}Z")


@dataclass(frozen=True)
class Backup:
    """
    What a manifest says of a backup.

    Attributes:
        name: When it began, in UTC; what was written later is not in it.
        databases: Names of those that are in it.
        artifact_root: Where artifacts lay; None where an MLflow server keeps them.
        versions: Of this package and of the database server.
        size: Bytes of all files.
        files: Checksums by relative path.
    """

    name: str
    began_at: datetime
    databases: tuple[str, ...]
    artifact_root: str | None
    versions: Mapping[str, str]
    size: int
    files: Mapping[str, str]

    @classmethod
    def of(cls, manifest: Mapping[str, Any]) -> Self:
        """
        Read a manifest.

        Raises:
            StorageError: it is of another format.
        """
        if manifest.get("format") != FORMAT:
            raise StorageError(
                f"backup {manifest.get('address')} is of format {manifest.get('format')}, "
                f"not {FORMAT}: restore it with the release that made it"
            )
        return cls(
            name=manifest["address"],
            began_at=datetime.fromisoformat(manifest["began_at"]),
            databases=tuple(manifest["databases"]),
            artifact_root=manifest["artifact_root"],
            versions=manifest["versions"],
            size=manifest["size"],
            files=manifest["files"],
        )


def backups_folder(settings: Settings) -> StoredFolder:
    """Where backups lie."""
    mirror = settings.home / "mirror"
    return StoredFolder(settings.storage_root, "backups", mirror=mirror, durable=True)


def backup_names(settings: Settings) -> list[str]:
    """Backups that are whole, newest first."""
    names = backups_folder(settings).parts()
    return sorted((name for name in names if _NAMES.fullmatch(name)), reverse=True)


def backups(settings: Settings) -> list[Backup]:
    """
    What there is to restore, newest first.

    Raises:
        StorageError: a manifest is damaged.
    """
    folder = backups_folder(settings)
    return [Backup.of(folder.recorded(name)) for name in backup_names(settings)]


def back_up(settings: Settings) -> Backup:
    """
    Make a backup; afterwards the oldest go, beyond those that settings keep.

    Args:
        settings: Prepared ones.

    Raises:
        StorageError: something could not be read or written; no backup has appeared.
    """
    folder = backups_folder(settings)
    with folder.reserved():
        folder.path.chmod(0o700)  # it holds readers' histories
        folder.sweep()
        name = _written(settings, folder)
        folder.forget_copy(name)
        _retain(settings, folder)
    made = Backup.of(folder.recorded(name))
    log.info("backup_made", name=name, bytes=made.size, databases=list(made.databases))
    return made


def _written(settings: Settings, folder: StoredFolder) -> str:
    began_at = _free_moment(folder)
    name = f"{began_at:{_NAME}}"
    manifest: dict[str, Any] = {"format": FORMAT, "began_at": began_at.isoformat()}
    try:
        with folder.writing(name, manifest) as draft:
            manifest |= _fill(settings, draft)
    except OSError as error:
        told = error.strerror or error
        raise StorageError(f"cannot write a backup to {folder.path}: {told}") from error
    return name


def _free_moment(folder: StoredFolder) -> datetime:
    """Now, once no backup has that name."""
    taken = folder.parts()
    while f"{(moment := datetime.now(UTC)):{_NAME}}" in taken:
        time.sleep(0.1)
    return moment


def _fill(settings: Settings, draft: Path) -> dict[str, Any]:
    """
    Write everything into a folder, and give what the manifest says of it.

    Databases come first, so that every artifact they tell of is there to be copied; and in a turn,
    so that no version becomes champion between the dump of our tables and that of MLflow's.
    """
    databases = present(settings)
    library = databases[LIBRARY]
    (draft / DATABASES).mkdir()
    with turn(library):
        for name in (LIBRARY, MLFLOW):
            if name in databases:
                dump(databases[name], draft / DATABASES / f"{name}.dump")
    if AIRFLOW in databases:
        dump(databases[AIRFLOW], draft / DATABASES / f"{AIRFLOW}.dump")
    root = _artifact_root(settings)
    if root is not None:
        copy_settled(root, draft / ARTIFACTS)
    told = [asdict(setting) for setting in configured(settings)]
    (draft / CONFIGURATION).write_text(json.dumps(told, indent=1, default=str))
    return {
        "databases": list(databases),
        "artifact_root": None if root is None else str(root),
        "versions": {
            "book-recommender": importlib.metadata.version("book-recommender"),
            "postgresql": ping(library),
        },
        "size": size_of(draft),
    }


def _artifact_root(settings: Settings) -> Path | None:
    tracking = settings.mlflow_tracking_uri
    if tracking is not None and tracking.get_secret_value().startswith("http"):
        return None
    return settings.artifact_root


def _retain(settings: Settings, folder: StoredFolder) -> None:
    for name in backup_names(settings)[settings.maintenance.keep_backups :]:
        folder.remove(name)
        log.info("backup_removed", name=name)
