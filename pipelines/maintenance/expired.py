"""What has expired: something that nothing needs any more, and how it is removed."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Kind = Literal["version", "run", "model copy", "cache", "log", "task logs", "deliveries"]


@dataclass(frozen=True)
class Expired:
    """
    One thing to be removed.

    Attributes:
        name: A version's number, a run's id, a path, or how many.
        size: Bytes that this frees; 0 where that is not known.
    """

    kind: Kind
    name: str
    size: int
    remove: Callable[[], None] = field(repr=False, compare=False)


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files of a folder."""
    files = [path] if path.is_file() else path.rglob("*")
    return sum(file.lstat().st_size for file in files if not file.is_dir())
