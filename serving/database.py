"""
PostgreSQL as the service reaches it: in threads of its own, and left alone while it is away.

It may not take threads from those who compute recommendations, and nobody waits in a row for a
database that failed a moment ago. What may be a little old is read from a replica, if there is one.
"""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import TypeVar

import structlog
from prometheus_client import Counter
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.orm import Session

from pipelines.errors import StorageError
from pipelines.settings import Settings
from pipelines.storage.unit_of_work import unit_of_work
from serving.read_replica import ReadReplica, ReplicaUnfitError, primary_position

log = structlog.get_logger()
T = TypeVar("T")

THREADS = 4
PAUSE_SECONDS = 1.0
"""For which a database that failed is not asked."""


class Database:
    """
    Transactions, one a call.

    Args:
        url: Its address; None where there is none.
        replica: What may answer in its place.
        reads: Counts what may be a little old, by the server that told it.
    """

    def __init__(
        self, url: str | None, replica: ReadReplica | None = None, reads: Counter | None = None
    ) -> None:
        self._url = url
        self._replica = replica
        self._reads = reads
        self._threads = ThreadPoolExecutor(THREADS, "database")
        self._away_until = 0.0

    @classmethod
    def of(cls, settings: Settings, reads: Counter | None = None) -> "Database":
        """As settings say."""
        url, replica = settings.database_url, settings.database_read_url
        return cls(
            url.get_secret_value() if url is not None else None,
            ReadReplica(replica.get_secret_value(), settings.database_read_lag_seconds)
            if replica is not None
            else None,
            reads,
        )

    async def read(self, work: Callable[[Session], T], *, age: float) -> T:
        """
        What `work`, which only reads, finds; it may be as old as settings allow.

        Args:
            work: Finds it in a transaction of its own.
            age: Seconds since this last changed, as far as is known here; a replica that may not
                have heard of it is not asked.

        Raises:
            StorageError: the database is away, and with it whatever says how old a replica is.
        """
        replica = self._replica
        if replica is not None and age > replica.lag_seconds and not replica.is_away:
            if replica.wants_position:
                replica.note(*await self.run(primary_position))
            try:
                return self._counted("replica", await replica.within(work))
            except ReplicaUnfitError:
                pass
        return self._counted("primary", await self.within(work))

    async def within(self, work: Callable[[Session], T]) -> T:
        """
        What `work` gives in a transaction of its own.

        Raises:
            StorageError: the database is away, or was a moment ago.
        """
        return await self.run(lambda url: _within(url, work))

    async def run(self, work: Callable[[str], T]) -> T:
        """What `work` gives, which opens its transactions by itself; raises as `within`."""
        url = self._url
        if url is None:
            raise StorageError("there is no database: set BOOKREC_DATABASE_URL")
        if time.monotonic() < self._away_until:
            raise StorageError("the database failed a moment ago")
        try:
            return await asyncio.get_running_loop().run_in_executor(
                self._threads, copy_context().run, work, url
            )
        except StorageError as error:
            self._away_until = time.monotonic() + PAUSE_SECONDS
            log.warning("database_unavailable", reason=str(error))
            raise
        except ProgrammingError as error:
            log.warning("database_unavailable", reason=str(error.orig))
            raise StorageError("tables are missing: `bookrec doctor` makes them") from error

    def close(self) -> None:
        """Let the threads end."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        if self._replica is not None:
            self._replica.close()

    def _counted(self, server: str, answer: T) -> T:
        if self._reads is not None:
            self._reads.labels(server).inc()
        return answer


def _within(url: str, work: Callable[[Session], T]) -> T:
    with unit_of_work(url) as session:
        return work(session)
