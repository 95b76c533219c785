"""
A model on disk: a folder with a manifest and arrays, checked when it is opened.

```
item_knn/
  manifest.json    format, kind, config, library versions; size and SHA-256 of every file
  indptr.npy       arrays are read without pickle and memory-mapped, so that the processes of a
  indices.npy      machine share one copy
```

A folder may hold whole artifacts as subfolders. Its manifest lists their manifests, which list
their files, so that one checksum stands for everything below it.
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar
from uuid import uuid4

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipelines.errors import ArtifactError
from pipelines.models.base import ModelConfig

FORMAT = 1
MANIFEST = "manifest.json"
LIBRARIES = ("numpy", "scipy", "pyarrow", "faiss-cpu", "scikit-learn", "implicit")

Array = npt.NDArray[Any]
Config = TypeVar("Config", bound=ModelConfig)


class FileEntry(BaseModel):
    """What a file must be."""

    bytes: int = Field(ge=0)
    sha256: str


class Manifest(BaseModel):
    """What `manifest.json` holds; names of files are relative, with forward slashes."""

    model_config = ConfigDict(extra="forbid")

    format: int
    kind: str
    config: dict[str, Any]
    files: dict[str, FileEntry]
    libraries: dict[str, str]


@dataclass(frozen=True)
class Artifact:
    """An opened and verified folder; arrays are read-only."""

    folder: Path
    config: dict[str, Any]
    arrays: dict[str, Array]

    def array(self, name: str) -> Array:
        """
        One array by name.

        Raises:
            ArtifactError: the folder has no such array.
        """
        if name not in self.arrays:
            raise ArtifactError(f"{self.folder} has no array {name}: train the model again")
        # Still mapped, but no np.memmap: each slice of such takes as long as a sum over it.
        return np.asarray(self.arrays[name])

    def config_as(self, kind: type[Config]) -> Config:
        """
        The config, validated.

        Raises:
            ArtifactError: it is not one of this release.
        """
        try:
            return kind.model_validate(self.config)
        except ValidationError as error:
            raise ArtifactError(
                f"{self.folder} holds no valid {kind.__name__}: {_first(error)}"
            ) from None


def write_artifact(
    folder: Path,
    kind: str,
    config: ModelConfig,
    arrays: Mapping[str, Array],
    files: Mapping[str, Callable[[Path], None]] | None = None,
) -> None:
    """
    Write a folder under a temporary name, then rename it: it is there whole or not at all.

    Args:
        folder: Must not exist yet.
        kind: What `read_artifact` has to ask for.
        config: Kept as JSON in the manifest.
        arrays: By name, without the ending.
        files: Further files or nested artifacts: a relative name, and what writes to that path.

    Raises:
        ArtifactError: the folder exists.
    """
    with _new_folder(folder) as partial:
        names = [_write_array(partial, name, array) for name, array in arrays.items()]
        for name, write in (files or {}).items():
            write(partial / name)
            names.append(f"{name}/{MANIFEST}" if (partial / name).is_dir() else name)
        manifest = Manifest(
            format=FORMAT,
            kind=kind,
            config=config.model_dump(mode="json"),
            files={name: _entry(partial / name) for name in sorted(names)},
            libraries=_library_versions(),
        )
        (partial / MANIFEST).write_text(_render(manifest.model_dump()), encoding="utf-8")


def read_artifact(folder: Path, kind: str) -> Artifact:
    """
    Open a folder: verify each listed file once, then map its arrays.

    Raises:
        ArtifactError: missing, of another format or kind, or not what the manifest says.
    """
    manifest = read_manifest(folder)
    if manifest.kind != kind:
        raise ArtifactError(f"{folder} holds a {manifest.kind}, not a {kind}")
    for name, entry in manifest.files.items():
        _verify(folder, name, entry)
    names = [name for name in manifest.files if name.endswith(".npy")]
    arrays = {name.removesuffix(".npy"): _map_array(folder / name) for name in names}
    return Artifact(folder, manifest.config, arrays)


def read_manifest(folder: Path) -> Manifest:
    """
    The manifest alone, without a look at the files.

    Raises:
        ArtifactError: missing, not JSON, changed after it was written, or of another format.
    """
    path = folder / MANIFEST
    try:
        text = path.read_text(encoding="utf-8")
        content = json.loads(text)
    except FileNotFoundError:
        raise ArtifactError(f"{folder} is no model folder: it has no {MANIFEST}") from None
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{path} cannot be read: {error}") from None
    found = content.get("format") if isinstance(content, dict) else None
    if found != FORMAT:
        raise ArtifactError(f"{path} has format {found}, this release reads format {FORMAT}")
    content.pop("sha256", None)
    if _render(content) != text:
        raise ArtifactError(f"{path} fails its checksum: fetch or train the model again")
    try:
        return Manifest.model_validate(content)
    except ValidationError as error:
        raise ArtifactError(f"{path} is no manifest: {_first(error)}") from None


@contextmanager
def _new_folder(folder: Path) -> Iterator[Path]:
    if folder.exists():
        raise ArtifactError(f"{folder} exists already: save into a new folder")
    partial = folder.with_name(f".{folder.name}.{uuid4().hex}.partial")
    partial.mkdir(parents=True)
    try:
        yield partial
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _write_array(folder: Path, name: str, array: Array) -> str:
    np.save(folder / f"{name}.npy", array, allow_pickle=False)
    return f"{name}.npy"


def _map_array(path: Path) -> Array:
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except ValueError as error:
        raise ArtifactError(f"{path} is no array: {error}") from None


def _verify(folder: Path, name: str, expected: FileEntry) -> None:
    relative = PurePosixPath(name)
    if relative.is_absolute() or ".." in relative.parts or "\\" in name:
        raise ArtifactError(f"{folder}: the file name {name} leads out of the folder")
    path = folder / name
    if not path.is_file():
        raise ArtifactError(f"{path} is missing: fetch or train the model again")
    if path.stat().st_size != expected.bytes:
        raise ArtifactError(
            f"{path} has {path.stat().st_size} bytes instead of {expected.bytes}: "
            "fetch or train the model again"
        )
    if _sha256(path) != expected.sha256:
        raise ArtifactError(f"{path} fails its checksum: fetch or train the model again")


def _entry(path: Path) -> FileEntry:
    return FileEntry(bytes=path.stat().st_size, sha256=_sha256(path))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _render(content: dict[str, Any]) -> str:
    """The text of a manifest, which names its own checksum: the same content, the same text."""
    body = json.dumps(content, sort_keys=True)
    digest = hashlib.sha256(body.encode()).hexdigest()
    return json.dumps(content | {"sha256": digest}, sort_keys=True, indent=2) + "\n"


def _library_versions() -> dict[str, str]:
    versions = {}
    for name in LIBRARIES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:  # an image without the training libraries
            continue
    return versions


def _first(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    return f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"
