"""
Lists of recommendations in Redis.

Redis is an optimisation: every failure surfaces as CacheUnavailableError, and nobody waits for it.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Protocol, cast

from redis.asyncio import RedisCluster

from pipelines.errors import CacheUnavailableError
from serving.caching.redis_guard import GuardedRedis
from serving.gathering import Gathering

SCANNED = 1_000
"""Keys that Redis looks at before it answers others."""
MOST_BYTES = 64 * 1024
"""Of a value that is appended to."""
READS_AT_ONCE = 64
"""Requests whose keys go into one question: it costs a client more than what it asks for."""
FEW = 4
"""Keys of such a request at most; a larger one is a question by itself."""


class RecommendationCache(Protocol):
    """What the service needs of a cache; every method may raise CacheUnavailableError."""

    keeps: bool
    """Whether what is put may be found again."""

    async def get(self, key: str) -> bytes | None:
        """The value last put, unless it expired."""

    async def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        """The values of several keys, at the price of one."""

    async def put(self, values: Mapping[str, bytes], ttl_seconds: int) -> None:
        """Store all `values`, replacing those there are."""

    async def append(self, values: Mapping[str, bytes], ttl_seconds: int) -> None:
        """Add to the end of what is there, of which the last `MOST_BYTES` live on for so long."""

    async def claim(self, key: str, ttl_seconds: int) -> bool:
        """Take `key` if nobody has it; False if somebody has."""

    async def drop(self, key: str) -> None:
        """Forget `key`; nothing happens if there is none."""

    async def measure(self, pattern: str) -> tuple[int, int]:
        """How many keys match, and the bytes of their values; those that come or go may count."""

    async def drop_all(self, pattern: str) -> int:
        """Forget all keys that match, as Redis understands it; gives how many."""

    @property
    def failure(self) -> str | None:
        """Why nobody is to ask at the moment; None if one may."""

    async def ping(self) -> None:
        """Return if the cache answers."""

    async def close(self) -> None:
        """Give up all connections."""


class NullCache:
    """Where no Redis is configured: keeps nothing, and has nothing to warm."""

    keeps = False
    failure = None

    async def get(self, key: str) -> bytes | None:  # noqa: ARG002 - the protocol's name
        return None

    async def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        return [None] * len(keys)

    async def put(self, values: Mapping[str, bytes], ttl_seconds: int) -> None:
        pass

    async def append(self, values: Mapping[str, bytes], ttl_seconds: int) -> None:
        pass

    async def claim(self, key: str, ttl_seconds: int) -> bool:  # noqa: ARG002 - the protocol's names
        raise CacheUnavailableError("no Redis is configured: set BOOKREC_REDIS_URL")

    async def drop(self, key: str) -> None:
        pass

    async def measure(self, pattern: str) -> tuple[int, int]:  # noqa: ARG002
        return 0, 0

    async def drop_all(self, pattern: str) -> int:  # noqa: ARG002
        return 0

    async def ping(self) -> None:
        raise CacheUnavailableError("no Redis is configured: set BOOKREC_REDIS_URL")

    async def close(self) -> None:
        pass


class RedisCache:
    """
    The cache in Redis.

    Args:
        url: The address, `redis://…` or `redis+cluster://…`.
        timeout_seconds: For each step of a command; a slower Redis counts as absent.

    Raises:
        ConfigurationError: the address is malformed.
    """

    keeps = True

    def __init__(self, url: str, *, timeout_seconds: float) -> None:
        self._guard = GuardedRedis(url, timeout_seconds=timeout_seconds)
        self._redis = self._guard.client
        client = self._guard.client
        # Nodes of a cluster are asked each for what it has.
        self._mget = client.mget_nonatomic if isinstance(client, RedisCluster) else client.mget
        self._reads = Gathering(self._read, at_once=READS_AT_ONCE)
        # One after the other, so that none waits for others longer than the limit of a step.
        self._large_reads = Gathering(self._read, at_once=1)

    async def get(self, key: str) -> bytes | None:
        # Typed for both settings of decode_responses, which is off.
        return cast("bytes | None", await self._guard.ask(lambda: self._redis.get(key)))

    async def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        reads = self._reads if len(keys) <= FEW else self._large_reads
        return await reads.answer(keys) if keys else []

    async def _read(self, asked: Sequence[Sequence[str]]) -> list[list[bytes | None]]:
        together = [key for keys in asked for key in keys]
        found = await self._guard.ask(lambda: self._mget(together))
        values = iter(cast("list[bytes | None]", found))
        return [[next(values) for _ in keys] for keys in asked]

    async def put(self, values: Mapping[str, bytes], ttl_seconds: int) -> None:
        pipeline = self._redis.pipeline(transaction=False)
        for key, value in values.items():
            pipeline.set(key, value, ex=ttl_seconds)
        await self._guard.ask(pipeline.execute)

    async def append(self, values: Mapping[str, bytes], ttl_seconds: int) -> None:
        pipeline = self._redis.pipeline(transaction=False)
        for key, value in values.items():
            pipeline.append(key, value)
            pipeline.expire(key, ttl_seconds)
        lengths = await self._guard.ask(pipeline.execute) if values else []
        for key, length in zip(values, lengths[::2], strict=True):
            if length > 2 * MOST_BYTES:  # seldom, so that it may take two more questions
                await self._cut(key, ttl_seconds)

    async def _cut(self, key: str, ttl_seconds: int) -> None:
        tail = await self._guard.ask(lambda: self._redis.getrange(key, -MOST_BYTES, -1))
        await self._guard.ask(lambda: self._redis.set(key, tail, ex=ttl_seconds))

    async def claim(self, key: str, ttl_seconds: int) -> bool:
        taken = await self._guard.ask(lambda: self._redis.set(key, b"1", ex=ttl_seconds, nx=True))
        return bool(taken)

    async def drop(self, key: str) -> None:
        await self._guard.ask(lambda: self._redis.delete(key))

    async def measure(self, pattern: str) -> tuple[int, int]:
        entries = n_bytes = 0
        async for keys in self._matching(pattern):
            pipeline = self._redis.pipeline(transaction=False)
            for key in keys:
                pipeline.strlen(key)
            entries += len(keys)
            n_bytes += sum(await self._guard.ask(pipeline.execute))
        return entries, n_bytes

    async def drop_all(self, pattern: str) -> int:
        dropped = 0
        async for keys in self._matching(pattern):
            pipeline = self._redis.pipeline(transaction=False)
            for key in keys:  # one by one; what is called `unlink` a cluster's client sends at once
                pipeline.execute_command("UNLINK", key)
            dropped += sum(await self._guard.ask(pipeline.execute))
        return dropped

    async def _matching(self, pattern: str) -> AsyncIterator[list[bytes | str]]:
        """Keys in bunches; never all at once, which would stop Redis for everybody."""
        found = self._redis.scan_iter(match=pattern, count=SCANNED)
        bunch: list[bytes | str] = []
        while (key := await self._guard.ask(lambda: anext(found, None))) is not None:
            bunch.append(key)
            if len(bunch) == SCANNED:
                yield bunch
                bunch = []
        if bunch:
            yield bunch

    @property
    def failure(self) -> str | None:
        return self._guard.failure

    async def ping(self) -> None:
        await self._guard.ping()

    async def close(self) -> None:
        await self._guard.close()
