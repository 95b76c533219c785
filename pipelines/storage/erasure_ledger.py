"""
Erasures on record outside of the database, for the day on which it is restored from a backup.

A backup knows readers who were erased after it was made. So each erasure leaves a small file in the
storage, `erasures/<hash>.json`, which says no more than the row in the database: whoever restores
reads them, and erases again.
"""

import json
from dataclasses import asdict, dataclass
from uuid import uuid4

from pipelines.errors import StorageError
from pipelines.storage.stored_folder import opened


@dataclass(frozen=True)
class LedgerEntry:
    """One reader of one library; `lifted` where later batches may bring them again."""

    library: str
    reader_hash: str
    key_id: str
    reason: str | None = None
    lifted: bool = False


class ErasureLedger:
    """All entries of one storage."""

    def __init__(self, storage_url: str) -> None:
        self._fs, root = opened(storage_url)
        self.folder = f"{root.rstrip('/')}/erasures"

    def write(self, entry: LedgerEntry) -> None:
        """
        Put an erasure on record, whole or not at all, in the place of what was there of it.

        Raises:
            StorageError: it cannot be written; then nothing must be erased.
        """
        place = f"{self.folder}/{entry.reader_hash}.json"
        draft = f"{place}.{uuid4().hex}"
        try:
            self._fs.makedirs(self.folder, exist_ok=True)
            self._fs.pipe_file(draft, json.dumps(asdict(entry)).encode())
            self._fs.mv(draft, place)
        except OSError as error:
            raise StorageError(f"cannot put the erasure on record at {place}: {error}") from error

    def all(self) -> list[LedgerEntry]:
        """
        Every entry.

        Raises:
            StorageError: one cannot be read.
        """
        if not self._fs.isdir(self.folder):
            return []
        self._fs.invalidate_cache()
        names = (str(name) for name in self._fs.ls(self.folder, detail=False))
        return [self._read(name) for name in sorted(names) if name.endswith(".json")]

    def _read(self, name: str) -> LedgerEntry:
        try:
            return LedgerEntry(**json.loads(self._fs.cat_file(name)))
        except (OSError, ValueError, TypeError) as error:
            raise StorageError(
                f"the record of an erasure, {name}, cannot be read: {error}"
            ) from error
