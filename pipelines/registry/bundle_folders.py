"""Bundles as folders among MLflow's artifacts: which is which, and one put in another's place."""

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote, urlparse

from pipelines.errors import RegistryError


def content_of(bundle: Path) -> str:
    """What tells one bundle from another: its manifest holds the checksums of all its files."""
    return hashlib.sha256((bundle / "manifest.json").read_bytes()).hexdigest()


def exchange(bundle: Path, write: Callable[[Path, Path], bool]) -> bool:
    """
    Put what `write` makes of a bundle in its place; False where it makes nothing.

    For a moment between two renames only `bundle.new`, which is whole, and `bundle.old` are there:
    `bundle_in` finds the new one then, and `settled` puts it right after a kill.
    """
    new, old = (bundle.with_name(f"{bundle.name}.{age}") for age in ("new", "old"))
    if not write(bundle, new):
        return False
    bundle.rename(old)
    new.rename(bundle)
    shutil.rmtree(old)
    return True


def settled(bundle: Path) -> Path:
    """The bundle's folder, without what a killed `exchange` left beside it."""
    new = bundle.with_name(f"{bundle.name}.new")
    if not bundle.exists() and new.exists():
        new.rename(bundle)
    for left in set(bundle.parent.glob("*")) - {bundle}:
        shutil.rmtree(left, ignore_errors=True)
    return bundle


def bundle_in(model_folder: Path) -> Path:
    for manifest in sorted(model_folder.glob("data/*/manifest.json")):
        return manifest.parent
    raise RegistryError(
        f"no model bundle in {model_folder}: was it deleted from the artifact root?"
    )


def name_of(uri: str) -> str:
    """What tells one logged model's artifacts from another's: `.../m-<id>/artifacts`."""
    return hashlib.sha256(uri.encode()).hexdigest()[:12]


def local_path(uri: str) -> Path | None:
    parsed = urlparse(uri)
    if parsed.scheme == "file":
        return Path(unquote(parsed.path))
    return Path(uri) if not parsed.scheme else None
