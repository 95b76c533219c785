"""Who uses the servers of a home: file locks, which the kernel drops when a process dies."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Lease:
    """
    Two locks: users share the first; whoever starts or stops servers holds the second alone.

    The first is only ever taken, and only ever turned exclusive, under the second.
    """

    def __init__(self, folder: Path) -> None:
        self._in_use = _open(folder / "in-use.lock")
        self._changing = _open(folder / "start.lock")

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Wait until nobody else starts or stops servers, and keep it so for the block."""
        fcntl.flock(self._changing, fcntl.LOCK_EX)
        try:
            yield
        finally:
            # Unlocked by hand: closing would not do it while a forked child has the file open.
            fcntl.flock(self._changing, fcntl.LOCK_UN)

    def share(self) -> None:
        """Become a user."""
        fcntl.flock(self._in_use, fcntl.LOCK_SH)

    def is_alone(self) -> bool:
        """Whether nobody else is a user; either way the caller is to call `release` next."""
        try:
            fcntl.flock(self._in_use, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def release(self) -> None:
        """Be a user no more."""
        fcntl.flock(self._in_use, fcntl.LOCK_UN)

    def close(self) -> None:
        """Close both files."""
        os.close(self._in_use)
        os.close(self._changing)


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold a lock file alone, waiting for it."""
    descriptor = _open(path)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
