"""Where something is kept of a reader; looks, and changes nothing."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

import pyarrow as pa

from pipelines.erasure import bundles, exports, runs
from pipelines.errors import BookrecError
from pipelines.registry import MlflowRegistry, ModelVersion
from pipelines.settings import Settings
from pipelines.storage.erasures import Erasure, ErasureKey, ErasureRepository
from pipelines.storage.exports import Export, ExportRepository
from pipelines.storage.reader_rows import ReaderRows
from pipelines.storage.run_copies import RunCopy, run_copies
from pipelines.storage.unit_of_work import unit_of_work

T = TypeVar("T")


@dataclass(frozen=True)
class Survey:
    """
    What is kept of one reader, by library.

    Attributes:
        rows: In PostgreSQL, by kind.
        runs: Copies of run folders that hold the reader, or that a killed attempt left by half.
        versions: Registered models that know the reader.
        exports: Files on record that list books for the reader.
        problems: What could not be looked at, a line each.
        on_record: Erasures of this reader from before.
    """

    user_id: str
    rows: dict[str, Counter[str]]
    runs: dict[str, list[RunCopy]]
    versions: dict[str, list[ModelVersion]]
    exports: dict[str, list[Export]]
    problems: list[str]
    on_record: list[Erasure]

    @property
    def libraries(self) -> list[str]:
        """Where there is anything, or an erasure that has not been completed."""
        begun = {e.library for e in self.on_record if e.completed_at is None}
        return sorted(begun.union(self.rows, self.runs, self.versions, self.exports))


def survey(
    settings: Settings, registry: MlflowRegistry, user_id: str, library: str | None
) -> Survey:
    """Look everywhere, or for one library alone."""
    problems: list[str] = []
    url = settings.known_database_url
    with unit_of_work(url) as session:
        on_record = ErasureRepository(session, ErasureKey.of(settings)).of_reader(user_id, library)
        rows = ReaderRows(session, user_id).counts()
        written = ExportRepository(session).all()
    begun = {e.library for e in on_record if e.completed_at is None}
    return Survey(
        user_id,
        {name: found for name, found in rows.items() if library in (None, name)},
        _by_library(_runs(settings, user_id), library),
        _by_library(_versions(registry, user_id, begun, problems), library),
        _by_library(_exports(written, user_id, problems), library),
        problems,
        on_record,
    )


def _by_library(found: Iterator[tuple[str, T]], wanted: str | None) -> dict[str, list[T]]:
    """What is of no known library counts for any: it may be of this one."""
    sorted_: dict[str, list[T]] = {}
    for library, one in found:
        if wanted in (None, library) or library == runs.UNKNOWN:
            sorted_.setdefault(library, []).append(one)
    return sorted_


def _runs(settings: Settings, user_id: str) -> Iterator[tuple[str, RunCopy]]:
    for copy in run_copies(settings.storage_root, settings.home / "mirror"):
        if runs.is_being_erased(copy) or runs.holds(copy, user_id):
            yield runs.library_of(copy), copy


def _versions(
    registry: MlflowRegistry, user_id: str, begun: set[str], problems: list[str]
) -> Iterator[tuple[str, ModelVersion]]:
    """Those an attempt was killed at may have lost the reader, and not yet what lay beside."""
    for version in registry.versions():
        library = bundles.library_of(version)
        try:
            with TemporaryDirectory() as scratch:
                known = bundles.holds(registry, version, user_id, Path(scratch))
        except BookrecError as error:
            problems.append(f"version {version.version}: {error}")
            known = False
        if known or library in begun:
            yield library, version


def _exports(
    written: list[Export], user_id: str, problems: list[str]
) -> Iterator[tuple[str, Export]]:
    for export in written:
        try:
            if exports.holds(export.path, user_id):
                yield export.library, export
        except (OSError, pa.ArrowException) as error:
            problems.append(f"export {export.path}: {error}")
