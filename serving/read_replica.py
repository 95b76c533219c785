"""
A streaming replica of PostgreSQL, which answers where it is known to lag no more than so long.

A replica cannot say how late it is: without news it looks the same whether nothing was written or
it was cut off. So the primary is asked now and then how far its log has come; a replica that has
replayed as much as there was so many seconds ago is no more than these seconds behind.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import TypeVar

import structlog
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.orm import Session

from pipelines.errors import StorageError
from pipelines.storage.unit_of_work import unit_of_work

log = structlog.get_logger()
T = TypeVar("T")

THREADS = 4
ANSWER_SECONDS = 2.0
"""How long a replica may take; then there is still time to ask the primary."""
PAUSE_SECONDS = 5.0
"""For which a replica that failed is not asked."""

_PRIMARY_AT = text("select pg_current_wal_flush_lsn()::text")
# Null of a server that replays nothing, which is not a replica, or none any more.
_HAS_REPLAYED = text("select pg_last_wal_replay_lsn() >= cast(:position as pg_lsn)")


class ReplicaUnfitError(Exception):
    """The replica is away, or too late; the primary is to be asked."""


class ReadReplica:
    """
    Reads, one a call.

    Args:
        url: The replica's address.
        lag_seconds: What is read may be so old.
    """

    def __init__(self, url: str, lag_seconds: float) -> None:
        self._url = url
        self.lag_seconds = lag_seconds
        self._threads = ThreadPoolExecutor(THREADS, "replica")
        self._positions: deque[tuple[float, str]] = deque()
        self._away_until = 0.0
        self._is_lost = False

    @property
    def is_away(self) -> bool:
        """Whether it failed a moment ago."""
        return time.monotonic() < self._away_until

    @property
    def wants_position(self) -> bool:
        """Whether the primary has to be asked for one; twice in the time that it may lag."""
        newest = self._positions[-1][0] if self._positions else -self.lag_seconds
        return time.monotonic() - newest > self.lag_seconds / 2

    def note(self, asked_at: float, position: str) -> None:
        """Remember how far the primary was when it was asked (`time.monotonic`)."""
        self._positions.append((asked_at, position))

    async def within(self, work: Callable[[Session], T]) -> T:
        """
        What `work`, which only reads, finds.

        Raises:
            ReplicaUnfitError: see there.
        """
        position = self._required()
        try:
            answer = await asyncio.wait_for(
                asyncio.get_running_loop().run_in_executor(
                    self._threads, copy_context().run, _read, self._url, position, work
                ),
                ANSWER_SECONDS,
            )
        except (StorageError, ProgrammingError, TimeoutError) as error:
            self._lose(error)
            raise ReplicaUnfitError from error
        if self._is_lost:
            log.info("replica_found")
        self._is_lost = False
        return answer

    def close(self) -> None:
        """Let the threads end."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _required(self) -> str:
        """The oldest position that is young enough; any other was passed before it."""
        while self._positions and time.monotonic() - self._positions[0][0] > self.lag_seconds:
            self._positions.popleft()
        if not self._positions:
            raise ReplicaUnfitError
        return self._positions[0][1]

    def _lose(self, error: Exception) -> None:
        self._away_until = time.monotonic() + PAUSE_SECONDS
        if not self._is_lost:
            reason = str(getattr(error, "orig", error)).strip() or type(error).__name__
            log.warning("replica_lost", reason=reason)
        self._is_lost = True


def primary_position(url: str) -> tuple[float, str]:
    """
    When the primary was asked, and how far its log was then.

    Raises:
        StorageError: it does not answer.
    """
    asked_at = time.monotonic()
    with unit_of_work(url) as session:
        return asked_at, str(session.scalar(_PRIMARY_AT))


def _read(url: str, position: str, work: Callable[[Session], T]) -> T:
    with unit_of_work(url) as session:
        if not session.scalar(_HAS_REPLAYED, {"position": position}):
            raise ReplicaUnfitError
        return work(session)
