from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.errors import CacheUnavailableError, ConfigurationError
from pipelines.models.answers import Recommendation
from pipelines.storage.cache_keys import cache_key, list_key, reader_pattern
from serving.cache import NullCache, RedisCache, decode, encode

IDS = st.text(st.characters(codec=None), max_size=20)


def test_key_names_model_version_and_reader():
    assert (
        list_key("bookrec-hybrid", "3-ab", 100, "17") == "bookrec:bookrec-hybrid:v3-ab:top-100:17"
    )


@given(IDS, IDS)
def test_different_ids_have_different_keys(one: str, other: str):
    """Keys are injective in the id, whatever Unicode it is made of."""
    same = list_key("m", "1-a", 100, one) == list_key("m", "1-a", 100, other)
    assert same == (one == other)


@given(IDS, IDS)
def test_no_id_reaches_the_key_of_another_part(model: str, user_id: str):
    """An id or a model name has no separator of its own in the key."""
    assert list_key(model, "1-a", 100, user_id).count(":") == 4
    assert list_key(model, "1-a", 100, user_id).isprintable()


@pytest.mark.parametrize("book_id", [7, "7", "Ünï 🕮/:%"])
def test_a_list_survives_the_cache_with_the_type_of_its_ids(book_id: int | str):
    items = (Recommendation(book_id, "T", ("A", "B"), 0.1 + 0.2, ("because",)),)
    decoded = decode(encode(items))
    assert decoded == items
    assert type(decoded[0].book_id) is type(book_id)


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False)))
def test_scores_survive_the_cache_to_the_last_bit(scores: list[float]):
    """What is cached and what is computed are equal."""
    items = tuple(Recommendation(1, "T", (), score, ()) for score in scores)
    assert decode(encode(items)) == items


@pytest.mark.parametrize("value", [b"", b"{", b"null", b'[{"book_id": 1}]', b"\xff"])
def test_what_is_not_a_list_is_not_decoded(value: bytes):
    assert decode(value) is None


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
