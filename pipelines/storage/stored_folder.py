"""
Folders of the storage whose parts appear whole or not at all.

A part is written under a temporary name beside its place, its `manifest.json` last, and then
renamed. A remote storage (any fsspec URL) is mirrored below `mirror`, and a part counts as present
once its manifest is, which is uploaded last.
"""

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import fsspec
from upath import UPath

from pipelines.errors import ConfigurationError, StorageError

MANIFEST = "manifest.json"


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


class StoredFolder:
    """
    A folder of the storage. Its parts are read and written at local paths; a remote one is kept in
    step with them.

    Args:
        storage_url: Any fsspec URL.
        name: Where it lies below.
        mirror: Where its parts lie on this machine if the storage is elsewhere.
        durable: Whether a part is on the disk for certain before it gets its name.
    """

    def __init__(self, storage_url: str, name: str, *, mirror: Path, durable: bool = False) -> None:
        self.name = name
        self._fs, root = opened(storage_url)
        self.is_local = "file" in (
            self._fs.protocol if isinstance(self._fs.protocol, tuple) else (self._fs.protocol,)
        )
        self._remote = f"{root.rstrip('/')}/{name}"
        self._durable = durable
        self.path = Path(self._remote) if self.is_local else mirror / name

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
            record = {**self._told(address), **manifest, "files": folder_files(draft)}
            (draft / MANIFEST).write_text(json.dumps(record, indent=1, default=str))
            if self._durable:
                _sync(draft)
            _replace_folder(draft, final)
            if self._durable:
                _sync_folder(final.parent)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
        if not self.is_local:
            self._upload(address)

    def reading(self, address: str) -> Path:
        """
        The local folder of a part.

        Raises:
            StorageError: there is no such part, or its folder cannot be read.
        """
        try:
            finished = self._is_finished(address)
        except PermissionError as error:
            raise StorageError(f"cannot read {self.path / address}: {error.strerror}") from error
        if not finished:
            raise StorageError(self._missing(address))
        return self.path / address

    def _told(self, address: str) -> dict[str, Any]:
        """What every manifest begins with."""
        return {"address": address}

    def _missing(self, address: str) -> str:
        return f"there is no {self._remote}/{address}, or it is not whole"

    def _is_finished(self, address: str) -> bool:
        if not self.is_local:
            return self._download(address)
        return (self.path / address / MANIFEST).is_file()

    def manifest(self, address: str) -> dict[str, Any]:
        """
        What was recorded when the part was whole.

        Raises:
            StorageError: there is no such part, or its manifest is damaged.
        """
        path = self.reading(address) / MANIFEST
        try:
            recorded: dict[str, Any] = json.loads(path.read_text())
        except (OSError, ValueError) as error:
            raise StorageError(f"{path} is damaged ({error}): remove its folder") from error
        return recorded

    def has(self, address: str) -> bool:
        """Whether there is such a part, and whole."""
        try:
            self.reading(address)
        except StorageError:
            return False
        return True

    def parts(self) -> list[str]:
        """The names of all parts that are whole, in order; not of parts of parts."""
        if not self._fs.isdir(self._remote):
            return []
        self._fs.invalidate_cache()
        names = (str(path).rstrip("/").rpartition("/")[2] for path in self._names())
        return sorted(n for n in names if n[:1] != "." and self._fs.exists(self._manifest_of(n)))

    def recorded(self, address: str) -> dict[str, Any]:
        """
        A part's manifest, of which nothing else is fetched.

        Raises:
            StorageError: there is no such part, or its manifest is damaged.
        """
        try:
            told: dict[str, Any] = json.loads(self._fs.cat_file(self._manifest_of(address)))
        except FileNotFoundError as error:
            raise StorageError(self._missing(address)) from error
        except (OSError, ValueError) as error:
            raise StorageError(f"{self._manifest_of(address)} is damaged: {error}") from error
        return told

    def content(self, address: str, name: str) -> bytes:
        """
        One file of a part, of which nothing else is fetched.

        Raises:
            StorageError: it cannot be read.
        """
        try:
            read: bytes = self._fs.cat_file(f"{self._remote}/{address}/{name}")
        except OSError as error:
            raise StorageError(f"{self._remote}/{address}/{name} cannot be read") from error
        return read

    def remove(self, address: str) -> None:
        """Remove a part, its manifest first: what a kill leaves of it counts for nothing."""
        self._fs.rm_file(self._manifest_of(address))
        self._fs.rm(f"{self._remote}/{address}", recursive=True)
        self.forget_copy(address)

    def sweep(self) -> None:
        """Remove what killed writers of any part left half-written; for whoever has it reserved."""
        for draft in self.path.glob(".*.*"):
            shutil.rmtree(draft, ignore_errors=True)

    def forget_copy(self, address: str) -> None:
        """Remove this machine's copy of a part that lies elsewhere."""
        if not self.is_local:
            shutil.rmtree(self.path / address, ignore_errors=True)

    def _names(self) -> list[str]:
        return list(self._fs.ls(self._remote, detail=False))

    def _manifest_of(self, address: str) -> str:
        return f"{self._remote}/{address}/{MANIFEST}"

    @contextmanager
    def reserved(self) -> Iterator[None]:
        """
        Keep the folder to this process for the time of the block.

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
                raise StorageError(self._taken()) from error
            yield

    def _taken(self) -> str:
        return f"{self.path} is in use by another process: wait for its end"

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


def _sync(folder: Path) -> None:
    """Have everything below a folder on the disk, not only on its way there."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as stream:
                os.fsync(stream.fileno())
        else:
            _sync_folder(path)
    _sync_folder(folder)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
