"""
Run folders: everything a run makes lies under `<storage>/runs/<run_id>/<stage>/`.

A stage's folder appears whole or not at all: it is written under a temporary name beside its place,
its `manifest.json` last, and then renamed. With a remote storage (any fsspec URL) a run folder is
mirrored below `mirror` and a stage counts as present once its manifest is, which is uploaded last.
"""

import fcntl
import hashlib
import json
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import fsspec
from upath import UPath

from pipelines.errors import ConfigurationError, StorageError

MANIFEST = "manifest.json"
ERASED = "erased.json"
"""What a manifest is called once data of its folder were removed for a reader's sake."""
_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


def new_run_id() -> str:
    """A run id that sorts by time."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{uuid4().hex[:6]}"


def file_sha256(path: Path | UPath) -> str:
    """The checksum of a file, in hex."""
    with path.open("rb") as stream:
        # Files of fsspec can do it, though their type does not say so.
        return hashlib.file_digest(stream, "sha256").hexdigest()  # type: ignore[arg-type]


def folder_files(folder: Path) -> dict[str, str]:
    """Checksums of all files below `folder`, by relative path."""
    return {
        p.relative_to(folder).as_posix(): file_sha256(p)
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }


class RunFolder:
    """One run's folder. Stages read and write local paths; a remote storage is kept in step."""

    def __init__(self, storage_url: str, run_id: str, *, mirror: Path) -> None:
        if not _RUN_ID.fullmatch(run_id):
            raise StorageError(
                f"run id {run_id!r} is not usable as a folder name: use letters, digits, . _ -"
            )
        self.run_id = run_id
        self._fs, root = opened(storage_url)
        self._is_local = "file" in (
            self._fs.protocol if isinstance(self._fs.protocol, tuple) else (self._fs.protocol,)
        )
        self._remote = f"{root.rstrip('/')}/runs/{run_id}"
        self.path = Path(self._remote) if self._is_local else mirror / "runs" / run_id

    @contextmanager
    def writing(self, address: str, manifest: dict[str, Any]) -> Iterator[Path]:
        """
        A new empty folder that becomes `address` when the block ends without an error.

        Args:
            address: Stage name, or `stage/part`.
            manifest: What to record; read when the block ends, so the block may add to it.
        """
        final = self.path / address
        _sweep_drafts(final)
        draft = _draft_of(final)
        draft.mkdir(parents=True)
        try:
            yield draft
            record = {"run_id": self.run_id, "address": address, **manifest}
            record["files"] = folder_files(draft)
            (draft / MANIFEST).write_text(json.dumps(record, indent=1, default=str))
            _replace_folder(draft, final)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
        if not self._is_local:
            self._upload(address)

    def reading(self, address: str) -> Path:
        """
        The local folder of a finished stage.

        Raises:
            StorageError: the stage has not finished in this run, or its folder cannot be read.
        """
        try:
            finished = self._is_finished(address)
        except PermissionError as error:
            raise StorageError(f"cannot read {self.path / address}: {error.strerror}") from error
        if not finished:
            if self._is_erased(address):
                raise StorageError(
                    f"run {self.run_id} has no {address!r} any more: its data were removed when a "
                    "reader was erased; start a new run"
                )
            raise StorageError(
                f"run {self.run_id} has no finished {address!r}: run the stages before it first"
            )
        return self.path / address

    def _is_erased(self, address: str) -> bool:
        return bool(self._fs.exists(f"{self._remote}/{address}/{ERASED}"))

    def _is_finished(self, address: str) -> bool:
        if not self._is_local:
            return self._download(address)
        return (self.path / address / MANIFEST).is_file()

    def manifest(self, address: str) -> dict[str, Any]:
        """
        What was recorded when the stage finished.

        Raises:
            StorageError: the stage has not finished in this run, or its manifest is damaged.
        """
        path = self.reading(address) / MANIFEST
        try:
            recorded: dict[str, Any] = json.loads(path.read_text())
        except (OSError, ValueError) as error:
            raise StorageError(f"{path} is damaged ({error}): remove its folder") from error
        return recorded

    def has(self, address: str) -> bool:
        """Whether the stage has finished in this run."""
        try:
            self.reading(address)
        except StorageError:
            return False
        return True

    @contextmanager
    def reserved(self) -> Iterator[None]:
        """
        Keep the run to this process for the time of the block.

        Raises:
            StorageError: another process on this machine is at it, or nothing can be written there.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(f"cannot write to {self.path}: {error.strerror or error}") from error
        with (self.path / ".lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise StorageError(f"run {self.run_id} is being run by another process") from error
            yield

    def _upload(self, address: str) -> None:
        folder, target = self.path / address, f"{self._remote}/{address}"
        if self._fs.exists(f"{target}/{MANIFEST}"):
            self._fs.rm(target, recursive=True)
        for name in folder_files(folder):
            if name != MANIFEST:
                self._fs.put_file(str(folder / name), f"{target}/{name}")
        self._fs.put_file(str(folder / MANIFEST), f"{target}/{MANIFEST}")

    def _download(self, address: str) -> bool:
        """Bring the mirror in step; False where the stage is not finished in the storage."""
        source, final = f"{self._remote}/{address}", self.path / address
        if not self._fs.exists(f"{source}/{MANIFEST}"):
            return False
        manifest = self._fs.cat_file(f"{source}/{MANIFEST}")
        present = final / MANIFEST
        if not (present.is_file() and present.read_bytes() == manifest):
            self._fetch(source, final, json.loads(manifest)["files"])
        return True

    def _fetch(self, source: str, final: Path, files: Mapping[str, str]) -> None:
        draft = _draft_of(final)
        try:
            for name in [*files, MANIFEST]:
                (draft / name).parent.mkdir(parents=True, exist_ok=True)
                self._fs.get_file(f"{source}/{name}", str(draft / name))
            damaged = [n for n, checksum in files.items() if file_sha256(draft / n) != checksum]
            if damaged:
                raise StorageError(f"{source} does not hold what was written: {damaged[0]}")
            _replace_folder(draft, final)
        finally:
            shutil.rmtree(draft, ignore_errors=True)


def opened(storage_url: str) -> tuple[Any, str]:
    """The file system that an address means, and the path in it."""
    try:
        filesystem, root = fsspec.core.url_to_fs(storage_url)
    except (ValueError, ImportError) as error:  # unknown, or its package is not installed
        raise ConfigurationError(f"BOOKREC_STORAGE_URL cannot be used: {error}") from error
    return filesystem, str(root)


def _draft_of(final: Path) -> Path:
    return final.parent / f".{final.name}.{uuid4().hex}"


def _sweep_drafts(final: Path) -> None:
    """Remove what a killed writer of the same address left half-written."""
    for draft in final.parent.glob(f".{final.name}.*"):
        shutil.rmtree(draft, ignore_errors=True)


def _replace_folder(draft: Path, final: Path) -> None:
    """Put `draft` in the place of `final`; being killed in between loses `final`, never mixes."""
    if final.exists():
        old = _draft_of(final)
        final.rename(old)
        draft.rename(final)
        shutil.rmtree(old)
    else:
        draft.rename(final)
