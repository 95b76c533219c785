"""
Run folders: everything a run makes lies under `<storage>/runs/<run_id>/<stage>/`.

A stage's folder appears whole or not at all; see `pipelines.storage.stored_folder`.
"""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from pipelines.errors import StorageError
from pipelines.storage.stored_folder import StoredFolder

ERASED = "erased.json"
"""What a manifest is called once data of its folder were removed for a reader's sake."""
_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


def new_run_id() -> str:
    """A run id that sorts by time."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{uuid4().hex[:6]}"


class RunFolder(StoredFolder):
    """One run's folder; its parts are what stages have written."""

    def __init__(self, storage_url: str, run_id: str, *, mirror: Path) -> None:
        if not _RUN_ID.fullmatch(run_id):
            raise StorageError(
                f"run id {run_id!r} is not usable as a folder name: use letters, digits, . _ -"
            )
        self.run_id = run_id
        super().__init__(storage_url, f"runs/{run_id}", mirror=mirror)

    def _told(self, address: str) -> dict[str, Any]:
        return {"run_id": self.run_id, **super()._told(address)}

    def _missing(self, address: str) -> str:
        if self._fs.exists(f"{self._remote}/{address}/{ERASED}"):
            return (
                f"run {self.run_id} has no {address!r} any more: its data were removed when a "
                "reader was erased; start a new run"
            )
        return f"run {self.run_id} has no finished {address!r}: run the stages before it first"

    def _taken(self) -> str:
        return f"run {self.run_id} is being run by another process"
