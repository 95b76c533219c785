"""What every cache of the service promises."""

import pytest

from serving.caching.cache import RecommendationCache


@pytest.mark.anyio
class CacheContract:
    """Inherit it and give the fixture `cache`."""

    @pytest.fixture
    def anyio_backend(self) -> str:
        return "asyncio"

    async def test_unknown_key_gives_none(self, cache: RecommendationCache) -> None:
        """What was never put is not there."""
        assert await cache.get("nothing") is None

    async def test_put_then_get_gives_the_same_bytes(self, cache: RecommendationCache) -> None:
        """Values are bytes, kept exactly."""
        await cache.put({"key": b"\x00\xff\r\n*1"}, 60)
        assert await cache.get("key") == b"\x00\xff\r\n*1"

    async def test_many_values_are_put_at_once(self, cache: RecommendationCache) -> None:
        """A batch is as good as its parts, and an empty one is no error."""
        await cache.put({f"key {n}": str(n).encode() for n in range(200)}, 60)
        await cache.put({}, 60)
        assert [await cache.get(f"key {n}") for n in (0, 199)] == [b"0", b"199"]

    async def test_put_replaces(self, cache: RecommendationCache) -> None:
        """The last value counts."""
        await cache.put({"key": b"old"}, 60)
        await cache.put({"key": b"new"}, 60)
        assert await cache.get("key") == b"new"

    async def test_many_values_are_got_at_once(self, cache: RecommendationCache) -> None:
        """In the order asked, with None for what is not there; of no keys none."""
        await cache.put({"one": b"1", "two": b"2"}, 60)
        assert await cache.get_many(["two", "none", "one"]) == [b"2", None, b"1"]
        assert await cache.get_many([]) == []

    async def test_what_is_appended_comes_behind(self, cache: RecommendationCache) -> None:
        """A key that is not there begins empty; appending nothing does nothing."""
        await cache.append({"log": b"a\n", "other": b"x"}, 60)
        await cache.append({"log": b"b\n"}, 60)
        await cache.append({}, 60)
        assert await cache.get_many(["log", "other"]) == [b"a\nb\n", b"x"]

    async def test_what_matches_is_measured_and_dropped(self, cache: RecommendationCache) -> None:
        """However much it is; the rest stays."""
        await cache.put({f"list:{n}": b"123" for n in range(2_500)} | {"log:1": b"x"}, 60)
        assert await cache.measure("list:*") == (2_500, 7_500)
        assert await cache.drop_all("list:*") == 2_500
        assert await cache.measure("list:*") == (0, 0)
        assert await cache.get("log:1") == b"x"

    async def test_a_key_is_claimed_once(self, cache: RecommendationCache) -> None:
        """Of two that claim, one gets it."""
        assert await cache.claim("lock", 60)
        assert not await cache.claim("lock", 60)

    async def test_a_key_that_was_put_cannot_be_claimed(self, cache: RecommendationCache) -> None:
        """A lock may be renewed by putting it."""
        await cache.put({"lock": b"1"}, 60)
        assert not await cache.claim("lock", 60)

    async def test_a_dropped_key_can_be_claimed_again(self, cache: RecommendationCache) -> None:
        """Dropping gives a lock back; dropping what is not there does nothing."""
        await cache.drop("lock")
        await cache.claim("lock", 60)
        await cache.drop("lock")
        assert await cache.claim("lock", 60)

    async def test_ping_returns(self, cache: RecommendationCache) -> None:
        """A cache that is there answers."""
        await cache.ping()
