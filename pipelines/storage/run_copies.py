"""Run folders as files wherever they lie: in the storage, and in the mirror of a remote one."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO
from uuid import uuid4

import fsspec

from pipelines.storage.stored_folder import MANIFEST, opened


@dataclass(frozen=True)
class RunCopy:
    """One copy of a run's folder; names of files are relative to it."""

    run_id: str
    filesystem: Any
    path: str

    def files(self) -> list[str]:
        """All files, those of writers that were killed too."""
        found = self.filesystem.find(self.path)
        return sorted(name.removeprefix(self.path).lstrip("/") for name in found)

    def open(self, name: str) -> BinaryIO:
        """A file to read; it can seek."""
        stream: BinaryIO = self.filesystem.open(f"{self.path}/{name}", "rb")
        return stream

    def read(self, name: str) -> bytes:
        """A file's content."""
        content: bytes = self.filesystem.cat_file(f"{self.path}/{name}")
        return content

    def write(self, name: str, content: bytes) -> None:
        """Write a file, whole or not at all."""
        draft = f"{self.path}/{name}.{uuid4().hex}"
        self.filesystem.pipe_file(draft, content)
        self.filesystem.mv(draft, f"{self.path}/{name}")

    def last_written(self) -> datetime:
        """When anything in it was written last; long ago if nothing is there."""
        times = (self.filesystem.modified(f"{self.path}/{name}") for name in self.files())
        aware = (t if t.tzinfo else t.replace(tzinfo=UTC) for t in times)
        return max(aware, default=datetime.min.replace(tzinfo=UTC))

    def size(self) -> int:
        """Bytes of all files."""
        return int(self.filesystem.du(self.path))

    def remove_all(self) -> None:
        """Remove the folder, manifests first: what a kill leaves of a stage counts for nothing."""
        for name in self.files():
            if name.rpartition("/")[2] == MANIFEST:
                self.remove(name)
        self.filesystem.rm(self.path, recursive=True)

    def remove(self, name: str) -> None:
        """Remove a file."""
        self.filesystem.rm_file(f"{self.path}/{name}")


def run_copies(storage_url: str, mirror: Path) -> Iterator[RunCopy]:
    """Every copy of every run."""
    local = fsspec.filesystem("file")
    roots = [opened(storage_url), (local, str(mirror))]
    for filesystem, root in roots:
        runs = f"{root.rstrip('/')}/runs"
        if filesystem.isdir(runs):
            filesystem.invalidate_cache()
            for entry in filesystem.ls(runs, detail=False):
                path = str(entry).rstrip("/")
                yield RunCopy(path.rpartition("/")[2], filesystem, path)
