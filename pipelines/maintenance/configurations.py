"""Configurations that were in force once, as backups remember them; without secrets."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import tomli_w

from pipelines.configuration import MASK, configured
from pipelines.errors import ConfigurationError, StorageError
from pipelines.maintenance.backups import CONFIGURATION, backup_names, backups_folder
from pipelines.settings import PREFIX, Settings

OF_A_MACHINE = frozenset(
    f"{PREFIX}{name}"
    for name in ("ENVIRONMENT", "CONFIG_DIR", "SECRETS_DIR", "HOME", "STORAGE_URL")
) | {f"{PREFIX}MLFLOW_ARTIFACT_ROOT", f"{PREFIX}FLAGS_FILE"}
"""What chooses files, or says where things lie: it is not restored with the rest."""
_DEFAULT = "default"


@dataclass(frozen=True)
class Change:
    """A setting that became another; None where it was not set."""

    variable: str
    before: Any
    after: Any


@dataclass(frozen=True)
class Configuration:
    """
    What was in force from one backup on, until the next one that differs.

    Attributes:
        backup: The first that holds it.
        changes: From the configuration before it; empty for the first.
    """

    backup: str
    changes: tuple[Change, ...]


@dataclass(frozen=True)
class RestoredConfiguration:
    """Where it was written, and what something above that file still sets otherwise."""

    path: Path
    overruled: tuple[Change, ...]


def history(settings: Settings) -> list[Configuration]:
    """Each configuration that differs from the one before, newest first."""
    found: list[Configuration] = []
    before: dict[str, Any] | None = None
    for name in reversed(backup_names(settings)):
        told = _values(_recorded(settings, name))
        changes = () if before is None else tuple(_changes(before, told))
        if before is None or changes:
            found.append(Configuration(name, changes))
        before = told
    return found[::-1]


def restore_configuration(settings: Settings, backup: str) -> RestoredConfiguration:
    """
    Write what somebody had set at the time of a backup to the file of this environment.

    The file that is there is put aside. Secrets, and where things lie, are not written.

    Raises:
        ConfigurationError: there is no folder for such files.
        StorageError: there is no such backup, or the file cannot be written.
    """
    if settings.config_dir is None:
        raise ConfigurationError("set BOOKREC_CONFIG_DIR to the folder that it is to be written to")
    if backup not in backup_names(settings):
        raise StorageError(f"there is no backup {backup!r}: `bookrec config history` lists them")
    recorded = [s for s in _recorded(settings, backup) if s["variable"] not in OF_A_MACHINE]
    path = settings.config_dir / f"{settings.environment}.toml"
    _write(path, _nested(s for s in recorded if s["origin"] != _DEFAULT and not _is_masked(s)))
    now = Settings()
    wanted = _values(s for s in recorded if not _is_masked(s))
    after = {s.variable: s.value for s in configured(now) if s.variable in wanted}
    return RestoredConfiguration(path, tuple(_changes(wanted, after)))


def _recorded(settings: Settings, name: str) -> list[dict[str, Any]]:
    folder = backups_folder(settings)
    told: list[dict[str, Any]] = json.loads(folder.content(name, CONFIGURATION))
    return told


def _values(recorded: Any) -> dict[str, Any]:
    return {setting["variable"]: setting["value"] for setting in recorded}


def _changes(before: dict[str, Any], after: dict[str, Any]) -> Iterator[Change]:
    for variable in sorted(before.keys() | after.keys()):
        one, other = before.get(variable), after.get(variable)
        if json.dumps(one, sort_keys=True) != json.dumps(other, sort_keys=True, default=str):
            yield Change(variable, one, other)


def _is_masked(setting: dict[str, Any]) -> bool:
    """Whether something of the value is missing; an address may have lost its password."""
    shown = json.dumps(setting["value"])
    return MASK in shown or ("://" in shown and "@" in shown)


def _nested(recorded: Iterator[dict[str, Any]]) -> dict[str, Any]:
    tables: dict[str, Any] = {}
    for setting in recorded:
        *above, name = setting["variable"].removeprefix(PREFIX).lower().split("__")
        table = tables
        for part in above:
            table = table.setdefault(part, {})
        if setting["value"] is not None:
            table[name] = setting["value"]
    return tables


def _write(path: Path, tables: dict[str, Any]) -> None:
    draft = path.with_name(f".{path.name}.draft")
    try:
        draft.write_text(tomli_w.dumps(tables))
        if path.exists():
            path.rename(path.with_name(f"{path.name}.{datetime.now(UTC):%Y%m%dT%H%M%SZ}"))
        draft.replace(path)
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror or error}") from error
