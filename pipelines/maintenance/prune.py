"""Removing what has expired."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import structlog

from pipelines.errors import BookrecError
from pipelines.maintenance.backups import backups_folder
from pipelines.maintenance.expired import Expired
from pipelines.maintenance.expired_deliveries import expired_deliveries
from pipelines.maintenance.expired_files import long_logs, old_caches, old_task_logs
from pipelines.maintenance.expired_runs import expired_runs
from pipelines.maintenance.expired_versions import (
    expired_copies,
    expired_versions,
    kept_versions,
)
from pipelines.registry import MlflowRegistry
from pipelines.release.moving import turn
from pipelines.settings import Settings

log = structlog.get_logger()


@dataclass
class Pruned:
    """What was removed, or would be; `problems` is what could not be, a line each."""

    removed: list[Expired] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def prune(settings: Settings, *, dry_run: bool = False) -> Pruned:
    """
    Remove what has expired, or only tell what that is.

    Args:
        settings: Prepared ones; `maintenance` says what is kept.
        dry_run: Change nothing.

    Raises:
        StorageError: a backup is being made, or the database does not answer.
        RegistryError: the registry is out of reach.
    """
    url = settings.known_database_url
    registry, done = MlflowRegistry.from_settings(settings), Pruned()
    with backups_folder(settings).reserved():
        with turn(url) as session:
            kept = kept_versions(settings, registry, session)
            _remove(expired_versions(registry, kept), done, dry_run=dry_run)
        for expired in (
            expired_copies(settings, kept),
            expired_runs(settings, kept),
            old_caches(settings),
            old_task_logs(settings),
            long_logs(settings),
            expired_deliveries(settings),
        ):
            _remove(expired, done, dry_run=dry_run)
    return done


def _remove(found: Iterable[Expired], done: Pruned, *, dry_run: bool) -> None:
    """What cannot be removed must not keep the rest from being removed."""
    for one in list(found):
        try:
            if not dry_run:
                one.remove()
                log.info("expired_removed", kind=one.kind, name=one.name, bytes=one.size)
        except (BookrecError, OSError) as error:
            done.problems.append(f"{one.kind} {one.name}: {error}")
        else:
            done.removed.append(one)
