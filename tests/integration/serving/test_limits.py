"""Rate limits in a real Redis, and while it is away."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis
from pydantic import SecretStr
from starlette.testclient import TestClient

from pipelines.service_settings import RateLimitSettings
from serving.caching.redis_guard import GuardedRedis
from serving.security.limits import RateLimiter
from tests.integration.serving.conftest import OwnRedis
from tests.serving_parts import Shelf, bundle, client, parts

pytestmark = pytest.mark.integration

POPULAR = "/api/v1/books/popular"


def limiter(url: str, rate: str) -> RateLimiter:
    """As one worker has it; patient, for fifty callers share one core here."""
    return RateLimiter(RateLimitSettings(user=rate), GuardedRedis(url, timeout_seconds=5))


async def passed(limiters: list[RateLimiter], callers: int, each: int) -> int:
    """How many requests of `callers` at once pass, spread over workers."""

    async def caller(number: int) -> int:
        limits = limiters[number % len(limiters)]
        return sum([(await limits.spend("user", "ann")).allowed for _ in range(each)])

    allowed = sum(await asyncio.gather(*(caller(number) for number in range(callers))))
    for limits in limiters:
        await limits.close()
    return allowed


@pytest.mark.parametrize("workers", [1, 3])
def test_fifty_at_once_get_exactly_what_is_allowed(redis_url: str, workers: int):
    limiters = [limiter(redis_url, "30/minute") for _ in range(workers)]
    assert asyncio.run(passed(limiters, callers=50, each=2)) == 30


@pytest.mark.parametrize("workers", [1, 3])
def test_requests_taken_ahead_never_let_more_pass(redis_url: str, workers: int):
    limiters = [limiter(redis_url, "600/minute") for _ in range(workers)]
    assert 550 <= asyncio.run(passed(limiters, callers=50, each=30)) <= 600


@pytest.fixture
def http(own_redis: OwnRedis, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    monkeypatch.setattr("serving.security.components.LIMIT_TIMEOUT_SECONDS", 1)
    shelf = Shelf()
    shelf.publish(bundle())
    limits = {"rate_limits": {"anonymous": "20/minute"}}
    changes = {"redis_url": SecretStr(own_redis.url), "security": limits}
    with client(parts(shelf, **changes), address="203.0.113.9") as http:
        yield http


def test_over_http_fifty_at_once_get_exactly_what_is_allowed(http: TestClient, own_redis: OwnRedis):
    with ThreadPoolExecutor(50) as pool:
        statuses = list(pool.map(lambda _: http.get(POPULAR).status_code, range(50)))
    assert Counter(statuses) == {200: 20, 429: 30}
    with redis.Redis.from_url(own_redis.url) as raw:
        keys = raw.keys()
        assert keys
        assert all(key.startswith(b"bookrec:limit") for key in keys)
        assert all(0 < raw.ttl(key) <= 120 for key in keys)


def test_while_redis_is_away_a_worker_counts_for_itself(http: TestClient, own_redis: OwnRedis):
    assert http.get(POPULAR).status_code == 200
    own_redis.freeze()
    started = time.perf_counter()
    statuses = [http.get(POPULAR).status_code for _ in range(25)]
    assert time.perf_counter() - started < 3
    assert Counter(statuses) == {200: 19, 429: 6}
    own_redis.thaw()
    deadline = time.monotonic() + 10
    while http.get(POPULAR).status_code != 200:  # what Redis counted before counts again
        assert time.monotonic() < deadline
        time.sleep(0.1)
