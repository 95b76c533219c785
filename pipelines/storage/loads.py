"""Which batches have become part of which library, and what each of them changed."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from pipelines.storage.tables import LoadRow


@dataclass(frozen=True)
class Load:
    """What one batch brought in."""

    library: str
    run_id: str
    mode: str
    """Whether the batch was the whole library (full) or a part of it (addition)."""
    source: str
    files: dict[str, str]
    """SHA-256 of every file of the batch, by its path or address; none of a database."""
    rows: dict[str, int]
    """Of ratings: how many came in, were kept, quarantined, and dropped with erased readers."""
    added: int
    """Ratings, as `changed` and `total`."""
    changed: int
    total: int
    """In the library, once the batch was part of it."""
    newest_rated_at: datetime | None
    catalogue: dict[str, Any]
    """What later batches and trainings have to know: rating_scale, is_complete, and order."""


class LoadRepository:
    """The loads of one library."""

    def __init__(self, session: Session, library: str) -> None:
        self._session = session
        self._library = library

    def record(self, load: Load) -> int:
        """
        Store a load; gives its number, higher than that of any load before.

        A run that stores again counts once, with all that it changed.
        """
        mine = self._ours, LoadRow.run_id == load.run_id
        earlier = self._session.scalars(select(LoadRow).where(*mine)).first()
        if earlier is not None:
            added, changed = load.added + earlier.added, load.changed + earlier.changed
            load = replace(load, added=added, changed=changed)
            self._session.execute(delete(LoadRow).where(*mine))
        row = LoadRow(**asdict(load))
        self._session.add(row)
        self._session.flush()
        return row.number

    def has_files(self, checksums: Iterable[str]) -> bool:
        """Whether every one of these files was part of some load."""
        loaded = self._session.scalars(select(LoadRow.files).where(self._ours))
        known = {checksum for files in loaded for checksum in files.values()}
        return known >= set(checksums)

    def last(self, *, but: str = "", source: str = "") -> LoadRow | None:
        """The newest load, `but` that of a run, or of one source; None where there is none yet."""
        others = select(LoadRow).where(self._ours, LoadRow.run_id != but)
        if source:
            others = others.where(LoadRow.source == source)
        return self._session.scalars(others.order_by(LoadRow.number.desc()).limit(1)).first()

    def changes_since(self, number: int) -> int:
        """How many ratings the loads after this one added or changed."""
        counted = func.coalesce(func.sum(LoadRow.added + LoadRow.changed), 0)
        statement = select(counted).where(self._ours, LoadRow.number > number)
        return int(self._session.execute(statement).scalar_one())

    @property
    def _ours(self) -> Any:
        return LoadRow.library == self._library
