from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.crc import key_slot

from pipelines.errors import CacheUnavailableError, ConfigurationError
from pipelines.storage.cache_keys import cache_key, list_key, reader_pattern, recent_key
from serving.caching.cache import NullCache, RedisCache

IDS = st.text(st.characters(codec=None), max_size=20)


def test_key_names_model_version_and_reader():
    assert (
        list_key("bookrec-hybrid", "3-ab", 100, "17") == "bookrec:bookrec-hybrid:v3-ab:top-100:{17}"
    )


@given(IDS, IDS)
def test_different_ids_have_different_keys(one: str, other: str):
    """Keys are injective in the id, whatever Unicode it is made of."""
    same = list_key("m", "1-a", 100, one) == list_key("m", "1-a", 100, other)
    assert same == (one == other)


@given(IDS)
def test_all_that_is_kept_of_a_reader_lies_in_one_slot_of_a_cluster(user_id: str):
    keys = list_key("m", "1-a", 100, user_id), recent_key("m", user_id)
    slots = {key_slot(key.encode()) for key in keys}
    assert len(slots) == (1 if user_id else 2)


@given(IDS, IDS)
def test_no_id_reaches_the_key_of_another_part(model: str, user_id: str):
    """An id or a model name has no separator of its own in the key."""
    assert list_key(model, "1-a", 100, user_id).count(":") == 4
    assert list_key(model, "1-a", 100, user_id).isprintable()


def test_malformed_address_is_a_configuration_error():
    with pytest.raises(ConfigurationError, match="BOOKREC_REDIS_URL"):
        RedisCache("rediss//nowhere", timeout_seconds=1)


@pytest.mark.anyio
async def test_without_redis_nothing_is_kept_and_nothing_can_be_warmed():
    cache = NullCache()
    await cache.put({"key": b"1"}, 60)
    assert await cache.get("key") is None
    with pytest.raises(CacheUnavailableError, match="BOOKREC_REDIS_URL"):
        await cache.claim("lock", 60)


@pytest.mark.parametrize("user_id", ["7", "a*b", "a?[x]", "ü:/ %", "\ud800"])
def test_a_readers_pattern_matches_their_lists_and_nobody_elses(user_id):
    pattern = reader_pattern("m[1]*", user_id)
    own = [list_key("m[1]*", label, 50, user_id) for label in ("1-a", "2-b")]
    others = [
        list_key("m[1]*", "1-a", 50, f"{user_id}x"),
        list_key("m[1]*", "1-a", 50, f"x{user_id}"),
        list_key("m11", "1-a", 50, user_id),
        cache_key("m[1]*", "1-a", "warm-up", ""),
    ]
    assert [fnmatchcase(key, pattern) for key in (*own, *others)] == [True] * 2 + [False] * 4
