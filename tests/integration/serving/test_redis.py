import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import redis
from starlette.testclient import TestClient
from structlog.testing import capture_logs

from serving.caching.local_cache import LocalCache
from tests.integration.serving.conftest import OwnRedis
from tests.serving_parts import Shelf, admin, bundle, client, parts, redis_caches, settings

pytestmark = pytest.mark.integration

READER = "/api/v1/users/3/recommendations"
KEY = f"bookrec:bookrec-hybrid:v1-1:top-{settings().cache.list_length}:{{3}}"
BATCH = "/api/v1/recommendations/batch"
WARM = "/api/v1/admin/cache/warm"


@pytest.fixture
def shelf() -> Shelf:
    shelf = Shelf()
    shelf.publish(bundle(readers=500))
    return shelf


@pytest.fixture
def http(shelf: Shelf, own_redis: OwnRedis) -> Iterator[TestClient]:
    """A worker that remembers nothing by itself, so that Redis is asked each time."""
    components = parts(shelf, *redis_caches(own_redis.url))
    with client(replace(components, local_cache=LocalCache(0, 1))) as http:
        yield http


def test_a_list_is_kept_under_model_and_version_and_expires(
    http: TestClient, shelf: Shelf, own_redis: OwnRedis
):
    assert [http.get(READER).json()["source"] for _ in range(2)] == ["model", "cache"]
    with redis.Redis.from_url(own_redis.url) as raw:
        assert raw.keys() == [KEY.encode()]
        assert 86_000 < raw.ttl(KEY) <= 86_400
    shelf.publish(bundle(title="Newer"))
    http.app.state.components.slot.refresh()
    assert [http.get(READER).json()["source"] for _ in range(2)] == ["model", "cache"]


def test_an_entry_that_somebody_spoilt_is_computed_again(http: TestClient, own_redis: OwnRedis):
    with redis.Redis.from_url(own_redis.url) as raw:
        raw.set(KEY, "\x80nonsense")
    assert [http.get(READER).json()["source"] for _ in range(2)] == ["model", "cache"]


def test_a_command_that_redis_refuses_stops_nobody_else(http: TestClient, own_redis: OwnRedis):
    with redis.Redis.from_url(own_redis.url) as raw:
        raw.hset(KEY.replace(":{3}", ":{4}"), "a", "b")  # SET may replace it, GET fails
        raw.config_set("maxmemory", "1")
        refused = http.get("/api/v1/users/4/recommendations").json()["source"]
        raw.config_set("maxmemory", "0")
    assert refused == "model"
    assert [http.get(READER).json()["source"] for _ in range(2)] == ["model", "cache"]


def test_of_many_readers_only_lists_that_are_not_there_are_made(
    http: TestClient, own_redis: OwnRedis
):
    readers = [*range(1, 301), "nobody", 7]
    alone = [http.get(READER.replace("3", str(reader))).json() for reader in readers[::2]]
    first, second = (_batch(http, readers) for _ in range(2))
    assert [told["source"] for told in first] == [*["cache", "model"] * 150, "fallback", "cache"]
    assert [told["source"] for told in second] == [*["cache"] * 300, "fallback", "cache"]
    assert [told["user_id"] for told in second] == readers
    assert [told["items"] for told in first] == [told["items"] for told in second]
    assert [told["items"] for told in first[::2]] == [told["items"] for told in alone]
    assert len({told["recommendation_id"] for told in first + second}) == 2 * len(readers)
    with redis.Redis.from_url(own_redis.url) as raw:
        assert len(raw.keys("*:top-*")) == 300
        assert 86_000 < raw.ttl(KEY.replace(":{3}", ":{300}")) <= 86_400
        raw.set(KEY, "list-1 00000000\nnonsense")
        raw.delete(KEY.replace(":{3}", ":{5}"))
        raw.hset(KEY.replace(":{3}", ":{5}"), "a", "b")
    third = _batch(http, [2, 3, 4, 5])
    assert [told["source"] for told in third] == ["cache", "model", "cache", "model"]
    assert [told["items"] for told in third] == [told["items"] for told in first[1:5]]


@pytest.mark.parametrize("outage", ["kill", "freeze"])
def test_many_readers_wait_for_a_lost_redis_once(
    http: TestClient, own_redis: OwnRedis, outage: str
):
    readers = [*range(1, 301)]
    expected = [told["items"] for told in _batch(http, readers)]
    getattr(own_redis, outage)()
    started = time.perf_counter()
    answers = _batch(http, readers)
    assert time.perf_counter() - started < 1.5
    assert [told["items"] for told in answers] == expected
    assert {told["source"] for told in answers} == {"model"}
    assert http.get("/readyz").json()["status"] == "degraded"
    own_redis.start() if outage == "kill" else own_redis.thaw()
    _until(lambda: http.get("/readyz").json()["status"] == "ready")
    assert [told["items"] for told in _batch(http, readers)] == expected


@pytest.mark.parametrize("outage", ["kill", "freeze"])
def test_an_outage_is_fast_logged_once_and_ends_by_itself(
    http: TestClient, own_redis: OwnRedis, outage: str
):
    expected = http.get(READER).json()["items"]
    getattr(own_redis, outage)()
    with capture_logs() as logs:
        first, *others = [_timed(http) for _ in range(50)]
        assert first < 0.5
        assert max(others) < 2  # Redis is gone for longer: nobody waits for it
        assert http.get(READER).json()["items"] == expected
        assert http.get("/readyz").json()["status"] == "degraded"
        _until(lambda: bool(logs) and any(log["event"] == "cache_lost" for log in logs))
    assert [log["event"] for log in logs].count("cache_lost") == 1

    own_redis.start() if outage == "kill" else own_redis.thaw()
    with capture_logs() as logs:
        _until(lambda: http.get(READER).json()["source"] == "cache")
    assert [log["event"] for log in logs].count("cache_recovered") == 1


def test_a_redis_that_is_not_there_at_start_is_found_later(shelf: Shelf, own_redis: OwnRedis):
    own_redis.kill()
    with client(parts(shelf, *redis_caches(own_redis.url))) as http:
        assert http.get(READER).json()["source"] == "model"
        assert http.post(WARM, headers=admin()).status_code == 503
        own_redis.start()
        _until(lambda: http.post(WARM, headers=admin()).status_code == 202)


def test_a_warm_up_fills_every_reader_and_shows_in_another_worker(
    http: TestClient, shelf: Shelf, own_redis: OwnRedis
):
    begun = http.post(WARM, headers=admin()).json()
    assert (begun["version"], begun["total"]) == (1, 500)
    joined = http.post(WARM, headers=admin()).json()
    assert joined["version"] == 1
    with client(parts(shelf, *redis_caches(own_redis.url))) as other:
        _until(lambda: other.get(WARM, headers=admin()).json()["finished"])
        state = other.get(WARM, headers=admin()).json()
        assert (state["outcome"], state["done"]) == ("complete", 500)
        assert other.get("/api/v1/users/500/recommendations").json()["source"] == "cache"
    with redis.Redis.from_url(own_redis.url) as raw:
        assert len(raw.keys("*:top-*")) == 500
        assert raw.keys("*lock*") == []


def _batch(http: TestClient, readers: list[int | str]) -> list[dict[str, Any]]:
    answer = http.post(BATCH, json={"user_ids": readers}, headers=admin())
    assert answer.status_code == 200
    return answer.json()["lists"]


def _until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _timed(http: TestClient) -> float:
    started = time.perf_counter()
    assert http.get(READER).json()["source"] == "model"
    return time.perf_counter() - started
