"""
PostgreSQL as the service reaches it: in threads of its own, and left alone while it is away.

It may not take threads from those who compute recommendations, and nobody waits in a row for a
database that failed a moment ago.
"""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import TypeVar

import structlog
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.orm import Session

from pipelines.errors import StorageError
from pipelines.storage.unit_of_work import unit_of_work

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
    """

    def __init__(self, url: str | None) -> None:
        self._url = url
        self._threads = ThreadPoolExecutor(THREADS, "database")
        self._away_until = 0.0

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


def _within(url: str, work: Callable[[Session], T]) -> T:
    with unit_of_work(url) as session:
        return work(session)
