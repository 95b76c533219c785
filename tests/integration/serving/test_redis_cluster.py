"""What the service keeps in Redis, spread over a cluster; its cache is in `tests/contract`."""

import asyncio
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from pydantic import SecretStr

from pipelines.diagnosis import _redis
from pipelines.erasure.cached_lists import drop_cached_lists
from pipelines.errors import CacheUnavailableError, ConfigurationError
from pipelines.storage.announcements import announce_champion
from pipelines.storage.redis_clients import RedisAddress
from serving.caching.local_cache import LocalCache
from serving.caching.redis_guard import GuardedRedis
from serving.security.sessions import RedisSessions, RefreshToken
from tests.integration.serving.test_announcements import _served
from tests.integration.serving.test_limits import limiter, passed
from tests.redis_cluster import Cluster, redis_cluster, until
from tests.serving_parts import Shelf, admin, bundle, client, parts, redis_caches, settings

pytestmark = pytest.mark.integration

READER = "/api/v1/users/{}/recommendations"


def test_an_address_says_whether_it_is_of_a_cluster():
    assert RedisAddress.parse("rediss+cluster://:p@h:1/0") == ("rediss://:p@h:1/0", True)
    assert RedisAddress.parse("redis://:p+cluster@h:1") == ("redis://:p+cluster@h:1", False)


@pytest.mark.parametrize("url", ["redis+cluster://127.0.0.1:1/3", "nonsense+cluster://a"])
def test_an_address_that_no_cluster_can_have_is_refused(url: str):
    """A cluster has no numbered databases."""
    with pytest.raises(ConfigurationError, match="BOOKREC_REDIS_URL is malformed"):
        GuardedRedis(url, timeout_seconds=1)


def test_lists_are_warmed_on_every_node_and_dropped_from_all(cluster: Cluster, cluster_url: str):
    shelf = Shelf()
    shelf.publish(bundle(readers=100))
    patient = redis_caches(cluster_url)[1]
    components = parts(shelf, patient, patient)
    with client(replace(components, local_cache=LocalCache(0, 1))) as http:
        http.post("/api/v1/admin/cache/warm", headers=admin())
        until(lambda: sum(map(len, cluster.held())) >= 100)
        assert all(len(keys) > 10 for keys in cluster.held())
        answers = {http.get(READER.format(reader)).json()["source"] for reader in range(1, 101)}
        assert answers == {"cache"}
        together = {"user_ids": [*range(1, 101)]}
        lists = http.post("/api/v1/recommendations/batch", json=together).json()["lists"]
        assert [told["source"] for told in lists] == ["cache"] * 100
        assert drop_cached_lists(cluster_url, "bookrec-hybrid", "3") == 1
        assert http.get(READER.format(3)).json()["source"] == "model"


def test_a_champion_is_announced(cluster_url: str):
    shelf = Shelf()
    shelf.publish(bundle())
    told = settings(redis_url=SecretStr(cluster_url))
    with client(parts(shelf, redis_url=SecretStr(cluster_url))) as http:
        version = shelf.publish(bundle())

        def is_served() -> bool:
            announce_champion(told, version)
            return _served(http) == version

        until(is_served)


async def _logins(url: str) -> None:
    sessions = RedisSessions(GuardedRedis(url, timeout_seconds=5), 60)
    first, second = await sessions.begin("ann"), await sessions.begin("ann")
    other = await sessions.begin("bob")
    following = await sessions.rotate(first)
    assert following is not None
    assert await sessions.rotate(first) is None, "it was used before"
    assert await sessions.name_of(first.session) is None
    assert RefreshToken.parse(second.text) == second
    assert await sessions.end_all("ann") == 1
    assert [await sessions.name_of(of.session) for of in (second, other)] == [None, "bob"]
    await sessions.close()


def test_all_sessions_of_an_account_end_together(cluster_url: str):
    asyncio.run(_logins(cluster_url))


def test_workers_count_requests_together(cluster_url: str):
    limiters = [limiter(cluster_url, "30/minute") for _ in range(3)]
    assert asyncio.run(passed(limiters, callers=50, each=2)) == 30


def test_the_doctor_names_it(cluster_url: str):
    told = _redis(settings(redis_url=SecretStr(cluster_url)), "yours")
    assert told.endswith("in a cluster of 3 nodes that hold keys (yours)")


async def _outage(cluster: Cluster) -> None:
    guard = GuardedRedis(cluster.url, timeout_seconds=1)
    await guard.ping()
    cluster.nodes[1].kill()
    with pytest.raises(CacheUnavailableError):
        await _ask_all_nodes(guard)
    with pytest.raises(CacheUnavailableError):
        await asyncio.wait_for(guard.ping(), 0.01)  # nobody waits for what failed a moment ago
    cluster.nodes[1].start()
    cluster.wait()
    async with asyncio.timeout(10):
        while True:
            try:
                await guard.ping()
                break
            except CacheUnavailableError:
                await asyncio.sleep(0.05)
    await _ask_all_nodes(guard)
    await guard.close()


async def _ask_all_nodes(guard: GuardedRedis) -> None:
    for number in range(50):
        assert await guard.ask(partial(guard.client.get, f"key {number}")) is None


def test_a_node_that_dies_costs_one_request_and_is_found_when_it_returns(tmp_path: Path):
    with redis_cluster(tmp_path) as cluster:
        asyncio.run(_outage(cluster))
