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
from redis.asyncio import BlockingConnectionPool, Redis, RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ClusterError, RedisClusterException, ResponseError
from redis.maint_notifications import MaintNotificationsConfig

from pipelines.errors import CacheUnavailableError, ConfigurationError
from pipelines.storage.redis_clients import REDIS_FAILURES, RedisAddress

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
        url: The address, `redis://…` or `redis+cluster://…`.
        timeout_seconds: For each step of a command; a slower Redis counts as absent.

    Raises:
        ConfigurationError: the address is malformed.
    """

    def __init__(self, url: str, *, timeout_seconds: float) -> None:
        self.client = client_of(url, timeout_seconds)
        # More patient than requests: a busy process may miss a short limit all by itself.
        self._prober = client_of(url, PROBE_SECONDS)
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
        except REDIS_FAILURES as error:
            if isinstance(error, ResponseError) and not isinstance(error, ClusterError):
                self._report(error)  # it answered, and in no time: whoever comes next may ask
            elif self._failure is None:
                self._failure = _reason(error)
                self._probing = asyncio.create_task(self._probe())
            raise CacheUnavailableError(f"Redis: {_reason(error)}") from error

    async def ping(self) -> None:
        """Return if Redis answers; raises as `ask`."""
        await self.ask(lambda: _answer_of(self.client))

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
                await _answer_of(self._prober)
            except REDIS_FAILURES as error:
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


async def _answer_of(client: Redis | RedisCluster) -> None:
    """Return if Redis answers; of a cluster, if all nodes that hold keys say it is in order."""
    if isinstance(client, Redis):
        await client.ping()
        return
    await client.initialize()
    for node in client.get_primaries():
        state = await client.cluster_info(target_nodes=node)
        if state["cluster_state"] != "ok":
            raise RedisClusterException(f"{node.name} says the cluster is down")


def client_of(url: str, timeout_seconds: float) -> Redis | RedisCluster:
    """
    A client that waits so long for each step of a command, and repeats none.

    Raises:
        ConfigurationError: the address is malformed.
    """
    address = RedisAddress.parse(url)
    options = failing_at_once() | {
        "max_connections": 64,
        "socket_timeout": timeout_seconds,
        "socket_connect_timeout": timeout_seconds,
    }
    try:
        if address.is_cluster:
            return RedisCluster.from_url(address.url, **options)
        pool = BlockingConnectionPool.from_url(address.url, timeout=timeout_seconds, **options)
    except (ValueError, RedisClusterException) as error:
        raise ConfigurationError(f"BOOKREC_REDIS_URL is malformed: {error}") from None
    return Redis.from_pool(pool)
