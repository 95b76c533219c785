"""
The act: erase a reader wherever something is kept of them, and record that it was done.

The order makes it safe to be killed: first the record and PostgreSQL, in one transaction, so that
no later batch brings the reader back; then models, files and caches, each of which may be done
twice. An act that was not completed is taken up by the next one of the same reader.
"""

import shutil
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import httpx
import pyarrow as pa
from sqlalchemy.orm import Session

from pipelines.erasure import bundles, exports, runs
from pipelines.erasure.cached_lists import drop_cached_lists
from pipelines.erasure.survey import Survey, survey
from pipelines.errors import BookrecError, ServiceUnavailableError, UnknownReaderError
from pipelines.registry import CHAMPION, CONTENT, MlflowRegistry
from pipelines.settings import Settings
from pipelines.storage.erasure_ledger import ErasureLedger
from pipelines.storage.erasures import Erasure, ErasureKey, ErasureRepository
from pipelines.storage.profiles import ProfileRepository
from pipelines.storage.reader_rows import ReaderRows
from pipelines.storage.unit_of_work import unit_of_work

_IN_POSTGRESQL = ("readers", "ratings", "feedback", "profiles")
RELOAD_SECONDS = 60.0
"""How long a running service may take to load what was rewritten."""


@dataclass(frozen=True)
class Told:
    """What was done; `problems` is what was not, a line each."""

    erasures: list[Erasure]
    removed: dict[str, Counter[str]] = field(default_factory=dict)
    """By library, how much of each kind, this time."""
    problems: list[str] = field(default_factory=list)


def forget(
    settings: Settings, user_id: str, *, library: str | None = None, reason: str | None = None
) -> Told:
    """
    Erase a reader from all libraries, or from one.

    Args:
        settings: Prepared ones.
        user_id: As it stands in the source.
        library: The key of a library; see `RunParams.dataset`.
        reason: Kept on record: it must not say who it was.

    Raises:
        UnknownReaderError: nothing is kept of them, and no erasure is on record.
    """
    registry = MlflowRegistry.from_settings(settings)
    found = survey(settings, registry, user_id, library)
    return erase(settings, registry, found, reason=reason)


def erase(
    settings: Settings, registry: MlflowRegistry, found: Survey, *, reason: str | None = None
) -> Told:
    """
    Erase what was found of a reader.

    Raises:
        UnknownReaderError: that is nothing, and no erasure is on record.
    """
    if not found.libraries:
        if not found.on_record:
            raise UnknownReaderError(
                f"nothing is kept of a reader {found.user_id!r}, and no erasure is on record"
            )
        # A service that was slow may have put a list there once more.
        _drop_lists(settings, found)
        return Told(found.on_record, problems=found.problems)
    return _Act(settings, registry, found, reason).done()


def lift(settings: Settings, user_id: str, library: str | None = None) -> list[str]:
    """
    Let later batches bring an erased reader again; gives the libraries.

    Raises:
        UnknownReaderError: no erasure is on record.
    """
    ledger = ErasureLedger(settings.storage_root)
    with _erasures(settings) as (_, erasures):
        known = erasures.entries(user_id, library)
        lifted = erasures.lift(user_id, library)
    for entry in known:
        ledger.write(replace(entry, lifted=True))
    if not lifted:
        raise UnknownReaderError(f"no erasure of a reader {user_id!r} is on record")
    return lifted


class _Act:
    def __init__(
        self, settings: Settings, registry: MlflowRegistry, found: Survey, reason: str | None
    ) -> None:
        self._settings = settings
        self._registry = registry
        self._found = found
        self._reason = reason
        self._when = f"{datetime.now(UTC):%Y-%m-%d}"
        self._removed = {library: Counter[str]() for library in found.libraries}
        self._problems = list(found.problems)

    def done(self) -> Told:
        self._rows()
        self._versions()
        self._runs()
        self._exports()
        self._lists()
        return Told(self._recorded(), self._removed, self._problems)

    @property
    def _run_ids(self) -> set[str]:
        return {copy.run_id for copies in self._found.runs.values() for copy in copies}

    @property
    def _note(self) -> str:
        return f"removed on {self._when}, when a reader was erased"

    def _rows(self) -> None:
        """In one transaction with the record, which keeps later batches from bringing them back."""
        ledger = ErasureLedger(self._settings.storage_root)
        with _erasures(self._settings) as (session, erasures):
            erasures.take_turns()
            rows = ReaderRows(session, self._found.user_id)
            for library, removed in self._removed.items():
                erasures.begin(library, self._found.user_id, self._reason)
                # Before anything is gone: a restored backup has to be told.
                for entry in erasures.entries(self._found.user_id, library):
                    ledger.write(entry)
                counted = rows.remove(library)
                counted["profiles"] = rows.remove_from_profiles(library)
                erasures.add(library, self._found.user_id, counted)
                removed.update(counted)
            ProfileRepository(session).note_removed_reports(self._run_ids, self._note)

    def _versions(self) -> None:
        for library, versions in self._found.versions.items():
            for version in versions:
                with self._noting(f"version {version.version}"):
                    user_id = self._found.user_id
                    changed = bundles.erase_from(self._registry, version, user_id, self._when)
                    self._count(library, "models", int(changed))
        # Copies of what a remote registry has: fetched again when they are needed.
        shutil.rmtree(self._settings.home / "models", ignore_errors=True)
        bundles.note_removed_reports(self._registry, self._run_ids, self._note)

    def _runs(self) -> None:
        for library, copies in self._found.runs.items():
            for copy in copies:
                self._count(library, "run_files", runs.erase_run(copy, when=self._when))

    def _exports(self) -> None:
        for library, written in self._found.exports.items():
            for export in written:
                with self._noting(f"export {export.path}"):
                    removed = exports.rewrite(export.path, self._found.user_id)
                    self._count(library, "exported_rows", removed)

    def _lists(self) -> None:
        """Twice: until it has loaded what was rewritten, a service may put a list there again."""
        with self._noting("cached lists"):
            removed = _drop_lists(self._settings, self._found)
            if _service_has_reloaded(self._settings, self._registry):
                removed += _drop_lists(self._settings, self._found)
            # Lists are kept by model, not by library.
            self._count(self._found.libraries[0], "cached_lists", removed)

    def _recorded(self) -> list[Erasure]:
        user_id = self._found.user_id
        with _erasures(self._settings) as (_, erasures):
            for library, removed in self._removed.items():
                files = {k: n for k, n in removed.items() if k not in _IN_POSTGRESQL}
                erasures.add(library, user_id, files)
                if not self._problems:
                    erasures.complete(library, user_id)
        with _erasures(self._settings) as (_, erasures):
            on_record = erasures.of_reader(user_id)
        return [erasure for erasure in on_record if erasure.library in self._removed]

    def _count(self, library: str, kind: str, count: int) -> None:
        self._removed[library][kind] += count

    @contextmanager
    def _noting(self, what: str) -> Iterator[None]:
        """What cannot be done must not keep the rest from being done."""
        try:
            yield
        except (BookrecError, OSError, pa.ArrowException) as error:
            self._problems.append(f"{what}: {error}")


@contextmanager
def _erasures(settings: Settings) -> Iterator[tuple[Session, ErasureRepository]]:
    with unit_of_work(settings.known_database_url) as session:
        yield session, ErasureRepository(session, ErasureKey.of(settings))


def _drop_lists(settings: Settings, found: Survey) -> int:
    assert settings.redis_url is not None  # noqa: S101 - prepared settings have it
    url = settings.redis_url.get_secret_value()
    return drop_cached_lists(url, settings.registered_model, found.user_id)


def _service_has_reloaded(settings: Settings, registry: MlflowRegistry) -> bool:
    """
    Wait until a running service answers from the bundle that was rewritten; False without one.

    Raises:
        ServiceUnavailableError: it did not in `RELOAD_SECONDS`.
    """
    champion = registry.by_alias(CHAMPION)
    if champion is None or (content := _content_in_service(settings)) is None:
        return False
    deadline = time.monotonic() + RELOAD_SECONDS
    while content is not None and content != champion.tags[CONTENT]:
        if time.monotonic() > deadline:
            raise ServiceUnavailableError(
                f"{settings.api.url} still answers from the old model: restart it"
            )
        time.sleep(0.2)
        content = _content_in_service(settings)
    if settings.api.workers > 1:  # one has told of itself alone
        time.sleep(settings.api.poll_seconds)
    return True


def _content_in_service(settings: Settings) -> str | None:
    try:
        url = f"{settings.api.url}/api/v1/models/current"
        answer = httpx.get(url, headers=settings.api.admin_headers, timeout=5)
        tags: dict[str, str] = answer.raise_for_status().json()["tags"]
    except (httpx.HTTPError, ValueError, KeyError):
        return None
    return tags.get(CONTENT)
