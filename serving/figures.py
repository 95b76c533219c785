"""The figures of pipeline and data for a scrape, which waits for PostgreSQL a moment at most."""

import asyncio
import time

from pipelines.errors import StorageError
from pipelines.storage.figures import Figures
from serving.database import Database

KEPT_SECONDS = 10.0
"""For which figures are told again: less than from one scrape to the next."""
PATIENCE_SECONDS = 2.0
"""Longer a scrape does not wait: it has more to tell than these."""


class RecentFigures:
    """Figures that are asked for by one question at a time, however slow the answer."""

    def __init__(self, database: Database, model_name: str) -> None:
        self._database = database
        self._model_name = model_name
        self._asked: asyncio.Task[Figures | None] | None = None
        self._asked_at = 0.0

    async def read(self) -> Figures | None:
        """The newest; None where PostgreSQL does not tell them in time."""
        now, asked = time.monotonic(), self._asked
        if asked is None or (asked.done() and now - self._asked_at > KEPT_SECONDS):
            self._asked = asked = asyncio.create_task(self._ask())
            self._asked_at = now
        await asyncio.wait([asked], timeout=PATIENCE_SECONDS)
        return asked.result() if asked.done() else None

    async def stop(self) -> None:
        """Wait for nothing any more."""
        if self._asked is not None:
            self._asked.cancel()
            await asyncio.gather(self._asked, return_exceptions=True)

    async def _ask(self) -> Figures | None:
        try:
            return await self._database.within(lambda s: Figures.of(s, self._model_name))
        except StorageError:  # the database has logged it
            return None
