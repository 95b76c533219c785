import asyncio
from collections.abc import AsyncIterator

import pytest

from serving.caching.cache import RecommendationCache, RedisCache
from tests.contract.cache import CacheContract
from tests.fakes import FakeCache


class TestFakeCache(CacheContract):
    @pytest.fixture
    def cache(self) -> RecommendationCache:
        return FakeCache()


@pytest.mark.integration
class TestRedisCache(CacheContract):
    @pytest.fixture
    async def cache(self, redis_url: str) -> AsyncIterator[RecommendationCache]:
        cache = RedisCache(redis_url, timeout_seconds=2)
        yield cache
        await cache.close()

    async def test_values_expire(self, cache: RecommendationCache) -> None:
        """What was put is gone after its time to live."""
        await cache.put({"key": b"1"}, 1)
        await asyncio.sleep(1.1)
        assert await cache.get("key") is None

    async def test_claims_expire(self, cache: RecommendationCache) -> None:
        """A holder that died gives its lock back in the end."""
        await cache.claim("lock", 1)
        await asyncio.sleep(1.1)
        assert await cache.claim("lock", 1)


@pytest.mark.integration
class TestRedisClusterCache(TestRedisCache):
    @pytest.fixture
    async def cache(self, cluster_url: str) -> AsyncIterator[RecommendationCache]:
        cache = RedisCache(cluster_url, timeout_seconds=2)
        yield cache
        await cache.close()
