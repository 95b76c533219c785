"""
How often somebody may ask: sliding windows in Redis, in this worker's memory while Redis is away.

Where the limit is high, some requests at once are taken from the window and spent here, so that not
every request costs a question to Redis. What is taken is taken: no more than the limit ever passes,
but what one worker has not spent within a second is lost to the caller.
"""

import math
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import quote

from limits import RateLimitItem, parse
from limits.aio.storage import MemoryStorage, RedisStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from redis.asyncio import Redis, RedisCluster

from pipelines.errors import CacheUnavailableError
from pipelines.service_settings import RateLimitSettings
from serving.caching.local_cache import SingleFlight
from serving.caching.redis_guard import GuardedRedis

LARGEST_LEASE = 500
LEASE_SECONDS = 1.0
MAX_LEASES = 10_000
"""Callers remembered at once; who is forgotten is asked for again."""

PREFIX = "bookrec:limit"


class Allowance(NamedTuple):
    """What somebody may still ask; `reset_seconds` until there is more again."""

    policy: str
    limit: int
    window_seconds: int
    remaining: int
    reset_seconds: int
    allowed: bool

    def headers(self) -> dict[str, str]:
        """As callers are told."""
        return {name.decode(): value.decode() for name, value in self.raw_headers()}

    def raw_headers(self) -> list[tuple[bytes, bytes]]:
        """The same for ASGI."""
        told = [
            (b"ratelimit-limit", b"%d" % self.limit),
            (b"ratelimit-remaining", b"%d" % self.remaining),
            (b"ratelimit-reset", b"%d" % self.reset_seconds),
        ]
        if not self.allowed:
            told.append((b"retry-after", b"%d" % max(self.reset_seconds, 1)))
        return told


@dataclass
class _Lease:
    """Requests taken and not spent yet; where there were none, nobody asks again for a moment."""

    taken: int
    left: int
    remaining: int
    resets_at: float
    until: float

    @property
    def is_over(self) -> bool:
        """Whether another has to be taken; one that gave nothing holds until its time is up."""
        return (self.taken > 0 and self.left == 0) or time.monotonic() > self.until


class RateLimiter:
    """
    Counts requests by policy (a field of the settings) and caller.

    Args:
        rates: How many each policy allows.
        redis: Where workers count together; None where each counts for itself.
    """

    def __init__(self, rates: RateLimitSettings, redis: GuardedRedis | None = None) -> None:
        self._items = {name: parse(rate) for name, rate in rates.model_dump().items()}
        self._guard = redis
        self._shared = _in_redis(redis) if redis is not None else None
        self._own = SlidingWindowCounterRateLimiter(MemoryStorage())
        self._flights = SingleFlight()
        self._leases: OrderedDict[tuple[str, str], _Lease] = OrderedDict()

    async def spend(self, policy: str, caller: str) -> Allowance:
        """Count one request."""
        item, key = self._items[policy], (policy, caller)
        lease = self._leases.get(key)
        while lease is None or lease.is_over:
            # Together: of leases that many take at once all but one would be lost.
            lease = await self._flights.once(key, lambda: self._take(item, policy, caller))
            if not lease.taken:
                break
        return _spent(policy, item, lease)

    def spend_held(self, policy: str, caller: str) -> Allowance | None:
        """Count one request that is already taken; None, and nothing is counted, if none is."""
        lease = self._leases.get((policy, caller))
        if lease is None or lease.left == 0 or lease.is_over:
            return None
        return _spent(policy, self._items[policy], lease)

    async def state(self, policy: str, caller: str) -> Allowance:
        """What is left, without counting."""
        item, lease = self._items[policy], self._leases.get((policy, caller))
        _, remaining, resets_at = await self._asked(item, policy, caller, 0)
        held = lease.left if lease is not None else 0
        return _allowance(policy, item, remaining + held, resets_at, remaining + held > 0)

    async def close(self) -> None:
        """Give up all connections."""
        if self._guard is not None:
            await self._guard.close()

    async def _take(self, item: RateLimitItem, policy: str, caller: str) -> _Lease:
        size = min(LARGEST_LEASE, max(1, item.amount // 100))
        taken, remaining, resets_at = await self._asked(item, policy, caller, size)
        seconds = LEASE_SECONDS if taken else min(LEASE_SECONDS, max(0, resets_at - time.time()))
        lease = _Lease(taken, taken, remaining, resets_at, time.monotonic() + seconds)
        self._leases[policy, caller] = lease
        self._leases.move_to_end((policy, caller))
        if len(self._leases) > MAX_LEASES:
            self._leases.popitem(last=False)
        return lease

    async def _asked(
        self, item: RateLimitItem, policy: str, caller: str, size: int
    ) -> tuple[int, int, float]:
        name = f"{policy}:{quote(caller, safe='', errors='surrogatepass')}"
        if self._guard is None or self._shared is None:
            return await _hit(self._own, item, name, size)
        shared = self._shared
        try:
            taken, remaining, resets_at = await self._guard.ask(
                lambda: _hit(shared, item, name, size)
            )
        except CacheUnavailableError:  # the guard has logged it
            return await _hit(self._own, item, name, size)
        if taken:  # so that nobody starts anew when Redis goes
            await self._own.hit(item, name, cost=taken)
        return taken, remaining, resets_at


async def _hit(
    limiter: SlidingWindowCounterRateLimiter, item: RateLimitItem, caller: str, size: int
) -> tuple[int, int, float]:
    """Take `size` requests, else one; gives what was taken, what is left, and until when."""
    taken = 0
    for cost in dict.fromkeys((size, min(size, 1))):
        if cost and await limiter.hit(item, caller, cost=cost):
            taken = cost
            break
    stats = await limiter.get_window_stats(item, caller)
    return taken, stats.remaining, stats.reset_time


def _spent(policy: str, item: RateLimitItem, lease: _Lease) -> Allowance:
    allowed = lease.left > 0
    lease.left -= allowed
    return _allowance(policy, item, lease.remaining + lease.left, lease.resets_at, allowed)


def _allowance(
    policy: str, item: RateLimitItem, remaining: int, resets_at: float, allowed: bool
) -> Allowance:
    seconds = max(0, math.ceil(resets_at - time.time()))
    return Allowance(policy, item.amount, item.get_expiry(), remaining, seconds, allowed)


class _Shared(RedisStorage):
    """Windows in the Redis, or the cluster, of a client that there is already."""

    STORAGE_SCHEME: list[str] = []  # noqa: RUF012 - as its base class has it
    """It is found under no address."""

    def __init__(self, client: Redis | RedisCluster) -> None:
        self._client = client
        super().__init__("async+redis://", implementation="redispy", key_prefix=PREFIX)

    def configure_bridge(self) -> None:
        """Use the client, with its address, its timeouts and no retries."""
        bridge: Any = self.bridge  # its client and how it asks for it are of no public type
        bridge.storage = self._client
        bridge.connection_getter = lambda _readonly: self._client


def _in_redis(guard: GuardedRedis) -> SlidingWindowCounterRateLimiter:
    return SlidingWindowCounterRateLimiter(_Shared(guard.client))
