"""Files of a home that have had their time: logs that have grown, and what can be made again."""

import itertools
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from pipelines.maintenance.expired import Expired, size_of
from pipelines.settings import Settings
from pipelines.storage.local.place import find_place, local_settings


def long_logs(settings: Settings) -> Iterator[Expired]:
    """Logs of the stack and of the embedded servers that are longer than settings say."""
    logs = list((settings.home / "logs").glob("*.log"))
    if (settings.home / "servers").is_dir():
        place = find_place(settings.home.resolve(), local_settings())
        logs += place.folder.glob("*/server.log") if place is not None else []
    for path in sorted(logs):
        if path.stat().st_size > settings.maintenance.log_bytes:
            put_aside = partial(_put_aside, path, settings.maintenance.keep_logs)
            yield Expired("log", str(path), size_of(path), put_aside)


def old_task_logs(settings: Settings) -> Iterator[Expired]:
    """What Airflow wrote of tasks, a folder a run of a DAG."""
    for folder in sorted((settings.home / "airflow" / "logs").glob("dag_id=*/run_id=*")):
        if _is_old(folder, settings):
            remove = partial(shutil.rmtree, folder)
            yield Expired("task logs", str(folder), size_of(folder), remove)


def old_caches(settings: Settings) -> Iterator[Expired]:
    """Features and vectors that no training has made or read for long."""
    for path in sorted((settings.home / "cache").rglob("*")):
        if path.is_file() and _is_old(path, settings):
            yield Expired("cache", str(path), size_of(path), partial(path.unlink, missing_ok=True))


def _is_old(path: Path, settings: Settings) -> bool:
    files = [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]
    seen = max((max(f.stat().st_mtime, f.stat().st_atime) for f in files), default=0.0)
    deadline = datetime.now(UTC) - timedelta(days=settings.maintenance.run_days)
    return datetime.fromtimestamp(seen, UTC) < deadline


def _put_aside(path: Path, keep: int) -> None:
    """
    Copy a log to `.1`, which was `.1` to `.2` and so on, and empty it.

    It cannot be renamed: a program that has it open would go on writing to the old one. All of them
    append, so after this they begin anew.
    """
    older = [path.with_name(f"{path.name}.{number}") for number in range(1, keep + 1)]
    for newer, old in reversed(list(itertools.pairwise(older))):
        if newer.exists():
            newer.replace(old)
    if older:
        shutil.copyfile(path, older[0])
        older[0].chmod(0o600)
    with path.open("r+b") as log:
        log.truncate(0)
