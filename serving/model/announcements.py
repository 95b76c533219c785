"""
Hearing over Redis that there is a new champion.

Only a nudge to look: what is said there is not believed, and without Redis the polling of the
registry finds the champion a little later.
"""

import asyncio
from collections.abc import Callable
from typing import Any

import structlog
from redis.asyncio.client import PubSub

from pipelines.storage.redis_clients import REDIS_FAILURES
from serving.caching.redis_guard import client_of

log = structlog.get_logger()

CONNECT_SECONDS = 2.0
SILENCE_SECONDS = 10.0
"""After so long without a word Redis is asked for one; after as long again it counts as lost."""
FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 5.0
"""Between two attempts to reach a Redis that was lost; they double from the first."""


class Announcements:
    """
    A subscription that renews itself.

    Args:
        url: The address, `redis://…` or `redis+cluster://…`.
        channel: Where champions are announced.
        heard: Called at every announcement, and whenever one may have been missed: as soon as the
            subscription stands, the first time and after every outage.

    Raises:
        ConfigurationError: the address is malformed.
    """

    def __init__(self, url: str, channel: str, heard: Callable[[], object]) -> None:
        # Every loss must be seen here: after one something may have been missed.
        self._redis = client_of(url, CONNECT_SECONDS)
        self._channel = channel
        self._heard = heard
        self._is_lost = False
        self._pause = FIRST_PAUSE_SECONDS

    async def follow(self) -> None:
        """Listen until cancelled."""
        try:
            while True:
                try:
                    await self._listen()
                except REDIS_FAILURES as error:
                    self._lose(error)
                    await self._redis.aclose()  # a cluster may have changed: ask anew who is who
                except Exception:  # the edge of a task that must outlive any defect
                    log.exception("announcements_failed")
                await asyncio.sleep(self._pause)
                self._pause = min(2 * self._pause, LONGEST_PAUSE_SECONDS)
        finally:
            await self._redis.aclose()

    async def _listen(self) -> None:
        await self._redis.initialize()  # in a cluster a channel has its node, which has to be known
        async with self._redis.pubsub() as pubsub:
            await pubsub.subscribe(self._channel)
            while True:
                message = await _next(pubsub)
                if message["type"] == "subscribe":
                    self._find()
                if message["type"] in ("subscribe", "message"):
                    self._heard()

    def _lose(self, error: Exception) -> None:
        if not self._is_lost:
            log.warning("announcements_lost", reason=str(error)[:200] or type(error).__name__)
        self._is_lost = True

    def _find(self) -> None:
        if self._is_lost:
            log.info("announcements_found")
        self._is_lost = False
        self._pause = FIRST_PAUSE_SECONDS


async def _next(pubsub: PubSub) -> dict[str, Any]:
    """
    The next message, or Redis's answer to whether it is still there.

    A connection of which the other end is gone without a word looks like one without news.
    """
    message: dict[str, Any] | None = await pubsub.get_message(timeout=SILENCE_SECONDS)
    if message is None:
        await pubsub.ping()
        message = await pubsub.get_message(timeout=SILENCE_SECONDS)
    if message is None:
        raise ConnectionError(f"no answer for {SILENCE_SECONDS} s")
    return message
