"""
A Redis that nobody waits for while it is away.

Every failure surfaces as CacheUnavailableError. After one, requests leave Redis alone and do not
wait for it, while a single task asks it again until it answers.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import structlog
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError
from redis.maint_notifications import MaintNotificationsConfig

from pipelines.errors import CacheUnavailableError, ConfigurationError

log = structlog.get_logger()
T = TypeVar("T")

PAUSE_SECONDS = 1.0
"""Between two questions to a Redis that failed."""

PROBE_SECONDS = 1.0
"""How long such a question waits for its answer."""

REPORT_SECONDS = 60.0
"""Between two reports that Redis refuses commands, as it does when its memory is full."""


class GuardedRedis:
    """
    One Redis, asked through `ask`.

    Args:
        url: The address, `redis://…`.
        timeout_seconds: For each step of a command; a slower Redis counts as absent.

    Raises:
        ConfigurationError: the address is malformed.
    """

    def __init__(self, url: str, *, timeout_seconds: float) -> None:
        self.client = _client(url, timeout_seconds)
        # More patient than requests: a busy process may miss a short limit all by itself.
        self._prober = _client(url, PROBE_SECONDS)
        self._failure: str | None = None
        self._probing: asyncio.Task[None] | None = None
        self._silent_until = 0.0

    @property
    def failure(self) -> str | None:
        """Why nobody asks at the moment; None if one may."""
        return self._failure

    async def ask(self, command: Callable[[], Awaitable[T]]) -> T:
        """
        What `command`, which uses `client`, answers.

        Raises:
            CacheUnavailableError: nothing, or a refusal; at once where it failed a moment ago.
        """
        if self._failure is not None:
            raise CacheUnavailableError(f"Redis: {self._failure}")
        try:
            return await command()
        except ResponseError as error:  # it answered, and in no time: whoever comes next may ask
            self._report(error)
            raise CacheUnavailableError(f"Redis: {_reason(error)}") from error
        except (RedisError, OSError) as error:
            if self._failure is None:
                self._failure = _reason(error)
                self._probing = asyncio.create_task(self._probe())
            raise CacheUnavailableError(f"Redis: {_reason(error)}") from error

    async def close(self) -> None:
        """Give up all connections."""
        if self._probing is not None:
            self._probing.cancel()
            await asyncio.gather(self._probing, return_exceptions=True)
        await self.client.aclose()
        await self._prober.aclose()

    def _report(self, refused: ResponseError) -> None:
        if time.monotonic() >= self._silent_until:
            log.warning("cache_command_refused", reason=_reason(refused))
            self._silent_until = time.monotonic() + REPORT_SECONDS

    async def _probe(self) -> None:
        """Ask until Redis answers, so that no request has to; until then nobody else asks."""
        confirmed = False
        while True:
            try:
                await self._prober.ping()
            except (RedisError, OSError) as error:
                self._failure = _reason(error)
                if not confirmed:
                    log.warning("cache_lost", reason=self._failure)
                confirmed = True
                await asyncio.sleep(PAUSE_SECONDS)
            else:
                self._failure = None
                if confirmed:
                    log.info("cache_recovered")
                return


def _reason(error: Exception) -> str:
    return str(error)[:200] or type(error).__name__


def failing_at_once() -> dict[str, Any]:
    """Options of a client of Redis that reports each failure, and does nothing about it."""
    return {
        # The default retries with growing pauses, for seconds, while a reader waits.
        "retry": Retry(NoBackoff(), 0),
        # Meant for a managed cluster; elsewhere one refused command a connection.
        "maint_notifications_config": MaintNotificationsConfig(enabled=False),
    }


def _client(url: str, timeout_seconds: float) -> Redis:
    try:
        pool = BlockingConnectionPool.from_url(
            url,
            max_connections=64,
            timeout=timeout_seconds,
            socket_timeout=timeout_seconds,
            socket_connect_timeout=timeout_seconds,
            **failing_at_once(),
        )
    except ValueError as error:
        raise ConfigurationError(f"BOOKREC_REDIS_URL is malformed: {error}") from None
    return Redis.from_pool(pool)
