"""A copy of a folder that others go on writing to, as it was at one moment."""

import os
import shutil
from pathlib import Path

from pipelines.errors import StorageError

ROUNDS = 10
Listing = dict[str, tuple[int, int, int]]
"""By relative path, what changes whenever a file does: its inode, size and time."""


def copy_settled(source: Path, target: Path) -> None:
    """
    Copy all files below `source`, again where they have changed meanwhile, until none has.

    Raises:
        StorageError: files keep changing, or cannot be read.
    """
    target.mkdir(parents=True, exist_ok=True)
    copied: Listing = {}
    for _ in range(ROUNDS):
        found = _listing(source)
        if found == copied:
            return
        for name in copied.keys() - found.keys():
            (target / name).unlink()
        copied = {n: seen for n, seen in found.items() if copied.get(n) == seen} | {
            n: seen
            for n, seen in found.items()
            if copied.get(n) != seen and _copy(source / n, target / n)
        }
    raise StorageError(f"{source} keeps changing: back up when less is going on")


def _listing(folder: Path) -> Listing:
    found: Listing = {}
    for at, _, names in os.walk(folder):
        for name in names:
            path = Path(at, name)
            try:
                seen = path.stat(follow_symlinks=False)
            except FileNotFoundError:  # gone since its folder was listed
                continue
            found[path.relative_to(folder).as_posix()] = seen.st_ino, seen.st_size, seen.st_mtime_ns
    return found


def _copy(source: Path, target: Path) -> bool:
    """False where it is gone."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        shutil.copyfile(source, target, follow_symlinks=False)
    except FileNotFoundError:
        target.unlink(missing_ok=True)
        return False
    except OSError as error:
        raise StorageError(f"cannot copy {source}: {error.strerror or error}") from error
    return True
