"""
Erasures that a backup does not know of, because they came after it.

They are on record in the storage (`pipelines.storage.erasure_ledger`), without ids. So the ids that
the backup brings are hashed and compared.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlalchemy import select
from sqlalchemy.orm import Session

from pipelines.erasure.act import forget
from pipelines.erasure.bundles import library_of
from pipelines.errors import ConfigurationError
from pipelines.models.bundle import ModelBundle
from pipelines.registry import MlflowRegistry
from pipelines.settings import Settings
from pipelines.storage.erasure_ledger import ErasureLedger, LedgerEntry
from pipelines.storage.erasures import ErasureKey, ErasureRepository
from pipelines.storage.tables import FeedbackRow, ReaderRow
from pipelines.storage.unit_of_work import unit_of_work


@dataclass(frozen=True)
class ErasedAgain:
    """How many erasures the backup did not know of, and what could not be done, a line each."""

    erasures: int
    problems: list[str]


def refuse_other_key(settings: Settings) -> None:
    """
    Make sure that erased readers would be recognised.

    Raises:
        ConfigurationError: there are erasures under another key than this home's.
    """
    ledger = ErasureLedger(settings.storage_root)
    own = ErasureKey.of(settings).id
    if any(entry.key_id != own for entry in ledger.all()):
        raise ConfigurationError(
            "readers were erased under another key than this home's, so those in the backup would "
            "come back: put the old home's `erasure-key` here, or set BOOKREC_ERASURE_KEY; if it "
            f"is lost, move {ledger.folder} away and ask again who was to be erased"
        )


def put_on_record(settings: Settings, library_url: str) -> list[LedgerEntry]:
    """
    Have a restored database know of all erasures; gives those it did not know of.

    From then on no batch brings these readers back, whatever becomes of this process.
    """
    entries = ErasureLedger(settings.storage_root).all()
    with unit_of_work(library_url) as session:
        erasures = ErasureRepository(session, ErasureKey.of(settings))
        erasures.lift_all([entry.reader_hash for entry in entries if entry.lifted])
        missing = erasures.missing(entries)
        for entry in missing:
            erasures.adopt(entry)
    return missing


def erase_again(settings: Settings, missing: list[LedgerEntry]) -> ErasedAgain:
    """Erase whom the backup has brought back; of the others nothing is there to be erased."""
    problems: list[str] = []
    found = dict(_recognised(settings, missing))
    for entry in found:
        told = forget(settings, found[entry], library=entry.library, reason=entry.reason)
        problems += told.problems
    if not problems:
        with unit_of_work(settings.known_database_url) as session:
            erasures = ErasureRepository(session, ErasureKey.of(settings))
            erasures.settle([entry.reader_hash for entry in missing if entry not in found])
    return ErasedAgain(len(missing), problems)


def _recognised(
    settings: Settings, missing: Iterable[LedgerEntry]
) -> Iterator[tuple[LedgerEntry, str]]:
    """Which reader each entry means, of those whom the backup has brought back."""
    by_library: defaultdict[str, dict[str, LedgerEntry]] = defaultdict(dict)
    for entry in missing:
        by_library[entry.library][entry.reader_hash] = entry
    key = ErasureKey.of(settings)
    for library, entries in by_library.items():
        for user_id in _readers(settings, library):
            if (digest := key.hash(library, user_id)) in entries:
                yield entries[digest], user_id


def _readers(settings: Settings, library: str) -> Iterator[str]:
    """Everybody of a library, in PostgreSQL and in registered models; some more than once."""
    with unit_of_work(settings.known_database_url) as session:
        yield from _stored(session, library)
    registry = MlflowRegistry.from_settings(settings)
    for version in registry.versions():
        if library_of(version) == library:
            with TemporaryDirectory() as scratch:
                bundle = ModelBundle.load(registry.fetch(version.version, Path(scratch)))
                yield from map(str, bundle.users)


def _stored(session: Session, library: str) -> Iterator[str]:
    for table in (ReaderRow, FeedbackRow):
        yield from session.scalars(select(table.user_id).where(table.source == library).distinct())
