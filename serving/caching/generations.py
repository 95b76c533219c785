"""
Which readers have told something new since an answer was remembered, known to all workers at once.

A file of the home that every worker of a machine has mapped: a number for each of 65,536 groups of
readers. Whoever hears something of a reader writes another number there before answering; a
remembered answer that carries the old one is no longer used, in whichever worker it lies. Readers
who share a group only cost each other a look at the next cache.
"""

import math
import mmap
import os
import secrets
import sys
import time
from pathlib import Path
from zlib import crc32

GROUPS = 1 << 16
NUMBER_BYTES = 8
DRAWN_BITS = 22
"""Of a number; above them is a time in milliseconds."""
EVERYBODY = 0
"""The generation of answers that are for nobody in particular."""


class Generations:
    """
    The numbers in one file, made if it is not there.

    Raises:
        OSError: the file cannot be made or mapped.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Never replaced: a worker that had mapped the old file would hear nothing any more.
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            os.ftruncate(descriptor, GROUPS * NUMBER_BYTES)
            self._map = mmap.mmap(descriptor, GROUPS * NUMBER_BYTES)
        finally:
            os.close(descriptor)
        self._numbers = memoryview(self._map).cast("Q")

    def of(self, user_id: str) -> int:
        """The reader's number; the same for as long as nothing new is heard of them."""
        return self._numbers[_group(user_id)]

    def renew(self, user_id: str) -> None:
        """
        Give the reader another number.

        It is the time and a draw, not counted up: of two workers that write at once one may be
        lost, and still the number is a new one.
        """
        self._numbers[_group(user_id)] = _drawn()

    def age(self, user_id: str) -> float:
        """Seconds since something new was heard of the reader; infinite if that is not known."""
        age = time.time() - (self.of(user_id) >> DRAWN_BITS) / 1000
        return age if age >= 0 else math.inf  # of before a clock was set back

    def renew_all(self) -> None:
        """Give every reader another number."""
        self._map[:] = b"".join(
            _drawn().to_bytes(NUMBER_BYTES, sys.byteorder) for _ in range(GROUPS)
        )

    def close(self) -> None:
        """Unmap the file."""
        self._numbers.release()
        self._map.close()


def _drawn() -> int:
    milliseconds = time.time_ns() // 1_000_000
    return milliseconds << DRAWN_BITS | secrets.randbits(DRAWN_BITS)


def _group(user_id: str) -> int:
    return crc32(user_id.encode(errors="surrogatepass")) % GROUPS
