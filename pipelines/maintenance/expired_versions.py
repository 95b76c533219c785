"""Versions of models that nobody will ask for again, and copies of their bundles."""

import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from sqlalchemy.orm import Session

from pipelines.maintenance.expired import Expired, size_of
from pipelines.registry import MlflowRegistry, ModelVersion
from pipelines.release.moving import Standing
from pipelines.settings import Settings


def kept_versions(
    settings: Settings, registry: MlflowRegistry, session: Session
) -> list[ModelVersion]:
    """
    Those that stay: the newest, whatever has an alias, and what a rollback needs.

    To be called in a turn: else a rollback might choose what is about to go.
    """
    standing = Standing.of(session, registry, settings.registered_model)
    needed = {standing.champion, standing.before}
    if standing.pending is not None:
        needed |= {standing.pending.from_version, standing.pending.to_version}
    versions = registry.versions()
    newest = {v.version for v in versions[: settings.maintenance.keep_versions]}
    return [v for v in versions if v.aliases or v.version in needed | newest]


def expired_versions(registry: MlflowRegistry, kept: list[ModelVersion]) -> Iterator[Expired]:
    """All the others, oldest first."""
    stay = {v.version for v in kept}
    for version in sorted(v.version for v in registry.versions() if v.version not in stay):
        remove = partial(registry.delete, version)
        yield Expired("version", str(version), registry.size(version), remove)


def expired_copies(settings: Settings, kept: list[ModelVersion]) -> Iterator[Expired]:
    """In the home, copies of bundles of versions that do not stay."""
    prefix = f"{settings.registered_model}-"
    for folder in sorted((settings.home / "models").glob(f"{prefix}*")):
        number = folder.name.removeprefix(prefix).partition("-")[0]
        if number.isdecimal() and all(int(number) != v.version for v in kept):
            yield Expired("model copy", str(folder), size_of(folder), partial(_remove, folder))


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
