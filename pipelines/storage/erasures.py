"""
The record of erasures: that a reader was erased, without who it was.

Ids stand there as HMAC-SHA256 under a key that lies outside of the database, so that whoever reads
the table can guess no id, and whoever has key and id can prove the act.
"""

import hashlib
import hmac
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.orm import Session

from pipelines.errors import ConfigurationError
from pipelines.settings import Settings
from pipelines.storage.erasure_ledger import LedgerEntry
from pipelines.storage.locks import Lock, take_turns
from pipelines.storage.services import own_secret
from pipelines.storage.tables import ErasureRow


@dataclass(frozen=True)
class ErasureKey:
    """What ids are hashed with."""

    secret: bytes

    @classmethod
    def of(cls, settings: Settings) -> "ErasureKey":
        """As set, or the home's own, which is made on first use."""
        if settings.erasure_key is not None:
            return cls(settings.erasure_key.get_secret_value().encode())
        return cls(own_secret(settings.home, "erasure-key").encode())

    @property
    def id(self) -> str:
        """What tells one key from another."""
        return self._hash("key")[:16]

    def hash(self, library: str, user_id: str) -> str:
        """The same reader in two libraries has two hashes."""
        return self._hash(f"reader\0{library}\0{user_id}")

    def _hash(self, message: str) -> str:
        # Ids that are not valid Unicode have a hash of their own too.
        return hmac.digest(
            self.secret, message.encode(errors="surrogatepass"), hashlib.sha256
        ).hex()


@dataclass(frozen=True)
class Erasure:
    """One act; `touched` counts what was removed, by kind."""

    library: str
    reason: str | None
    touched: Mapping[str, int]
    asked_at: datetime
    completed_at: datetime | None


class ErasureRepository:
    """Who was erased, for as long as it was not lifted."""

    def __init__(self, session: Session, key: ErasureKey) -> None:
        self._session = session
        self._key = key

    def take_turns(self) -> None:
        """Wait until nobody else writes or erases readers; held until this transaction ends."""
        take_turns(self._session, Lock.READERS)

    def hashes(self, library: str) -> frozenset[str]:
        """
        Of every reader who was erased from a library; see `ErasureKey.hash`.

        Raises:
            ConfigurationError: they were made with another key, so nobody would be recognised.
        """
        rows = self._session.execute(
            select(ErasureRow.reader_hash, ErasureRow.key_id).where(
                ErasureRow.library == library, ErasureRow.lifted_at.is_(None)
            )
        ).all()
        if any(row.key_id != self._key.id for row in rows):
            raise ConfigurationError(
                f"readers were erased from {library} under another key than this home's: copy "
                "`erasure-key` from the home where that was done, or set BOOKREC_ERASURE_KEY"
            )
        return frozenset(row.reader_hash for row in rows)

    def of_reader(self, user_id: str, library: str | None = None) -> list[Erasure]:
        """What is on record about a reader, by library."""
        return [_erasure(row) for row in self._rows(user_id, library)]

    def begin(self, library: str, user_id: str, reason: str | None) -> None:
        """Note that a reader is being erased; one who came back is so under the same record."""
        if known := self._rows(user_id, library):
            for row in known:
                row.completed_at = None
            return
        self._session.add(
            ErasureRow(
                library=library,
                reader_hash=self._key.hash(library, user_id),
                key_id=self._key.id,
                reason=reason,
                touched={},
            )
        )

    def add(self, library: str, user_id: str, touched: Mapping[str, int]) -> None:
        """Count more that was removed."""
        for row in self._rows(user_id, library):
            kinds = row.touched.keys() | touched.keys()
            row.touched = {k: row.touched.get(k, 0) + touched.get(k, 0) for k in sorted(kinds)}

    def complete(self, library: str, user_id: str) -> None:
        """Note that nothing is left."""
        for row in self._rows(user_id, library):
            row.completed_at = func.now()

    def entries(self, user_id: str, library: str | None = None) -> list[LedgerEntry]:
        """What has to be on record outside of the database about a reader."""
        return [_entry(row) for row in self._rows(user_id, library)]

    def missing(self, entries: Iterable[LedgerEntry]) -> list[LedgerEntry]:
        """Which erasures, of those on record elsewhere, this database does not know of."""
        known = set(self._session.scalars(select(ErasureRow.reader_hash).where(_in_force(None))))
        return [e for e in entries if not e.lifted and e.reader_hash not in known]

    def adopt(self, entry: LedgerEntry) -> None:
        """Take over what is on record elsewhere; the act itself counts as not completed."""
        self._session.add(
            ErasureRow(
                library=entry.library,
                reader_hash=entry.reader_hash,
                key_id=entry.key_id,
                reason=entry.reason,
                touched={},
            )
        )

    def settle(self, hashes: Collection[str]) -> None:
        """Note that nothing is left of these readers."""
        unfinished = _in_force(None) & ErasureRow.completed_at.is_(None)
        self._session.execute(
            update(ErasureRow)
            .where(unfinished, ErasureRow.reader_hash.in_(hashes))
            .values(completed_at=func.now())
        )

    def lift_all(self, hashes: Collection[str]) -> None:
        """Lift erasures of which it is on record elsewhere that they were lifted."""
        self._session.execute(
            update(ErasureRow)
            .where(_in_force(None), ErasureRow.reader_hash.in_(hashes))
            .values(lifted_at=func.now())
        )

    def lift(self, user_id: str, library: str | None = None) -> list[str]:
        """Let later batches bring the reader again; the libraries for which that changed."""
        rows = self._rows(user_id, library)
        for row in rows:
            row.lifted_at = func.now()
        return [row.library for row in rows]

    def _rows(self, user_id: str, library: str | None) -> list[ErasureRow]:
        libraries = self._session.scalars(
            select(ErasureRow.library).where(_in_force(library)).distinct()
        )
        hashes = [self._key.hash(name, user_id) for name in libraries]
        return list(
            self._session.scalars(
                select(ErasureRow)
                .where(_in_force(library), ErasureRow.reader_hash.in_(hashes))
                .order_by(ErasureRow.library)
            )
        )


def _in_force(library: str | None) -> ColumnElement[bool]:
    in_force = ErasureRow.lifted_at.is_(None)
    return in_force if library is None else in_force & (ErasureRow.library == library)


def _erasure(row: ErasureRow) -> Erasure:
    return Erasure(row.library, row.reason, row.touched, row.asked_at, row.completed_at)


def _entry(row: ErasureRow) -> LedgerEntry:
    return LedgerEntry(row.library, row.reader_hash, row.key_id, row.reason)
