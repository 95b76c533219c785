"""
Lists of recommendations in Redis, and what happens while Redis is away.

Redis is an optimisation: every failure surfaces as CacheUnavailableError, is logged once an outage,
and is followed by a short pause in which nobody waits for it.
"""

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol, TypeVar, cast
from urllib.parse import quote

import structlog
from pydantic import TypeAdapter, ValidationError
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError
from redis.maint_notifications import MaintNotificationsConfig

from pipelines.errors import CacheUnavailableError, ConfigurationError
from pipelines.models.bundle import Recommendation

log = structlog.get_logger()
T = TypeVar("T")

PAUSE_SECONDS = 1.0
"""How long a failed Redis is left alone, so that a hanging one delays few requests."""

_LISTS = TypeAdapter(tuple[Recommendation, ...])


def cache_key(model: str, version: int, kind: str, name: str = "") -> str:
    """
    The key of everything kept for one model version; no other function makes keys.

    The parts are percent-encoded, so no id, however written, reaches another key.

    Args:
        model: The registered model's name.
        version: Its version, so that a promotion leaves old entries behind.
        kind: What is kept: `user`, `warm-up` or `warm-up-lock`.
        name: Which of its kind, such as a reader's id.
    """
    # Ids that are not valid Unicode have bytes of their own too, rather than an error.
    model, name = (quote(part, safe="", errors="surrogatepass") for part in (model, name))
    return f"bookrec:{model}:v{version}:{kind}:{name}"


def encode(items: tuple[Recommendation, ...]) -> bytes:
    """A list as JSON; `decode` gives an equal list, ids in their own type."""
    return _LISTS.dump_json(items)


def decode(value: bytes) -> tuple[Recommendation, ...] | None:
    """The list that `encode` wrote; None for anything else."""
    try:
        return _LISTS.validate_json(value)
    except ValidationError:
        return None


class RecommendationCache(Protocol):
    """What the service needs of a cache; every method may raise CacheUnavailableError."""

    async def get(self, key: str) -> bytes | None:
        """The value last put, unless it expired."""

    async def put(self, values: Mapping[str, bytes], ttl_seconds: int) -> None:
        """Store all `values`, replacing those there are."""

    async def claim(self, key: str, ttl_seconds: int) -> bool:
        """Take `key` if nobody has it; False if somebody has."""

    async def drop(self, key: str) -> None:
        """Forget `key`; nothing happens if there is none."""

    async def ping(self) -> None:
        """Return if the cache answers."""

    async def close(self) -> None:
        """Give up all connections."""


class NullCache:
    """Where no Redis is configured: keeps nothing, and has nothing to warm."""

    async def get(self, key: str) -> bytes | None:  # noqa: ARG002 - the protocol's name
        return None

    async def put(self, values: Mapping[str, bytes], ttl_seconds: int) -> None:
        pass

    async def claim(self, key: str, ttl_seconds: int) -> bool:  # noqa: ARG002 - the protocol's names
        raise CacheUnavailableError("no Redis is configured: set BOOKREC_REDIS_URL")

    async def drop(self, key: str) -> None:
        pass

    async def ping(self) -> None:
        raise CacheUnavailableError("no Redis is configured: set BOOKREC_REDIS_URL")

    async def close(self) -> None:
        pass


class RedisCache:
    """
    The cache in Redis.

    Args:
        url: The address, `redis://…`.
        timeout_seconds: For each step of a command; a slower Redis counts as absent.
        clock: Monotonic seconds.

    Raises:
        ConfigurationError: the address is malformed.
    """

    def __init__(
        self, url: str, *, timeout_seconds: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._redis = _client(url, timeout_seconds)
        self._clock = clock
        self._failure: str | None = None
        self._ask_again_at = 0.0

    async def get(self, key: str) -> bytes | None:
        # Typed for both settings of decode_responses, which is off.
        return cast("bytes | None", await self._ask(lambda: self._redis.get(key)))

    async def put(self, values: Mapping[str, bytes], ttl_seconds: int) -> None:
        pipeline = self._redis.pipeline(transaction=False)
        for key, value in values.items():
            pipeline.set(key, value, ex=ttl_seconds)
        await self._ask(pipeline.execute)

    async def claim(self, key: str, ttl_seconds: int) -> bool:
        return bool(await self._ask(lambda: self._redis.set(key, b"1", ex=ttl_seconds, nx=True)))

    async def drop(self, key: str) -> None:
        await self._ask(lambda: self._redis.delete(key))

    async def ping(self) -> None:
        await self._ask(self._redis.ping)

    async def close(self) -> None:
        await self._redis.aclose()

    async def _ask(self, command: Callable[[], Awaitable[T]]) -> T:
        self._respect_pause()
        try:
            answer = await command()
        except (RedisError, OSError) as error:
            raise self._failed(error) from error
        if self._failure is not None:
            log.info("cache_recovered")
            self._failure = None
        return answer

    def _respect_pause(self) -> None:
        if self._failure is None:
            return
        now = self._clock()
        if now < self._ask_again_at:
            raise CacheUnavailableError(f"Redis is left alone for a moment: {self._failure}")
        # This caller tries, and those that come while it waits do not wait with it.
        self._ask_again_at = now + PAUSE_SECONDS

    def _failed(self, error: Exception) -> CacheUnavailableError:
        reason = str(error) or type(error).__name__
        if self._failure is None:
            log.warning("cache_lost", reason=reason)
        self._failure = reason
        # A command that was refused cost no time: whoever comes next may ask.
        pause = 0.0 if isinstance(error, ResponseError) else PAUSE_SECONDS
        self._ask_again_at = self._clock() + pause
        return CacheUnavailableError(f"Redis: {reason}")


def _client(url: str, timeout_seconds: float) -> Redis:
    try:
        pool = BlockingConnectionPool.from_url(
            url,
            max_connections=64,
            timeout=timeout_seconds,
            socket_timeout=timeout_seconds,
            socket_connect_timeout=timeout_seconds,
            # The default retries with growing pauses, for seconds, while a reader waits.
            retry=Retry(NoBackoff(), 0),
            # Meant for a managed cluster; elsewhere one refused command a connection.
            maint_notifications_config=MaintNotificationsConfig(enabled=False),
        )
    except ValueError as error:
        raise ConfigurationError(f"BOOKREC_REDIS_URL is malformed: {error}") from None
    return Redis.from_pool(pool)
