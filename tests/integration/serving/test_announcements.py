"""A new champion, heard of over a real Redis that comes and goes."""

import asyncio
import time
from collections.abc import Callable, Iterator

import pytest
import redis
from pydantic import SecretStr
from starlette.testclient import TestClient
from structlog.testing import capture_logs

from pipelines.storage.announcements import announce_champion
from pipelines.storage.cache_keys import champion_channel
from serving.model import announcements
from serving.model.announcements import Announcements
from tests.integration.serving.conftest import OwnRedis
from tests.serving_parts import Shelf, bundle, client, parts, settings

pytestmark = pytest.mark.integration

CHANNEL = champion_channel(settings().registered_model)
PATIENCE_SECONDS = 10


@pytest.fixture
def shelf() -> Shelf:
    shelf = Shelf()
    shelf.publish(bundle())
    return shelf


@pytest.fixture
def http(shelf: Shelf, own_redis: OwnRedis) -> Iterator[TestClient]:
    """A service that asks the registry by itself once an hour."""
    with client(parts(shelf, redis_url=own_redis.url)) as http:
        _until(lambda: _listeners(own_redis) == 1)
        yield http


def promote(shelf: Shelf, own_redis: OwnRedis) -> int:
    version = shelf.publish(bundle())
    announce_champion(settings(redis_url=own_redis.url), version)
    return version


def test_a_champion_that_is_announced_is_loaded_at_once(
    http: TestClient, shelf: Shelf, own_redis: OwnRedis
):
    for version in (2, 3):
        assert promote(shelf, own_redis) == version
        _until(lambda version=version: _served(http) == version)


def test_a_champion_that_nobody_announces_is_found_by_polling(shelf: Shelf, own_redis: OwnRedis):
    api = {"poll_seconds": 0.05}
    with client(parts(shelf, redis_url=own_redis.url, api=api)) as http:
        shelf.publish(bundle())
        _until(lambda: _served(http) == 2)


def test_without_redis_polling_is_enough(shelf: Shelf, own_redis: OwnRedis):
    own_redis.kill()
    api = {"poll_seconds": 0.05}
    with client(parts(shelf, redis_url=own_redis.url, api=api)) as http:
        assert promote(shelf, own_redis) == 2
        _until(lambda: _served(http) == 2)


def test_after_an_outage_what_was_missed_is_found_and_the_next_is_heard(
    http: TestClient, shelf: Shelf, own_redis: OwnRedis
):
    with capture_logs() as logs:
        own_redis.kill()
        assert promote(shelf, own_redis) == 2
        _until(lambda: "announcements_lost" in _events(logs))
        assert _served(http) == 1
        own_redis.start()
        _until(lambda: _served(http) == 2)
        _until(lambda: _listeners(own_redis) == 1)
        assert promote(shelf, own_redis) == 3
        _until(lambda: _served(http) == 3)
    assert sorted(_events(logs)) == [
        "announcements_found", "announcements_lost", "champion_announced", "champion_not_announced",
    ]  # fmt: skip


def test_a_redis_that_falls_silent_counts_as_lost_and_is_found_again(
    shelf: Shelf, own_redis: OwnRedis, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(announcements, "SILENCE_SECONDS", 0.2)
    monkeypatch.setattr(announcements, "CONNECT_SECONDS", 0.2)
    with client(parts(shelf, redis_url=own_redis.url)) as http, capture_logs() as logs:
        _until(lambda: _listeners(own_redis) == 1)
        time.sleep(1)  # through several silences, each of which Redis breaks when asked
        assert _events(logs) == []
        own_redis.freeze()
        _until(lambda: "announcements_lost" in _events(logs))
        shelf.publish(bundle())
        own_redis.thaw()
        _until(lambda: _served(http) == 2)


def test_a_defect_on_hearing_does_not_end_the_listening(own_redis: OwnRedis):
    heard: list[int] = []

    def fail_first() -> None:
        heard.append(1)
        if len(heard) == 1:
            raise KeyError("a defect")

    async def listen() -> None:
        task = asyncio.create_task(Announcements(own_redis.url, CHANNEL, fail_first).follow())
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(heard) < 2:
                await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    with capture_logs() as logs:
        asyncio.run(listen())
    assert [log["event"] for log in logs] == ["announcements_failed"]


def test_who_cannot_announce_says_so_in_one_line_and_goes_on(own_redis: OwnRedis):
    own_redis.kill()
    with capture_logs() as logs:
        announce_champion(settings(redis_url=own_redis.url), 7)
    ((event, version),) = [(log["event"], log["version"]) for log in logs]
    assert (event, version) == ("champion_not_announced", 7)


def test_an_announcement_names_model_and_version(own_redis: OwnRedis):
    with redis.Redis.from_url(own_redis.url, decode_responses=True) as raw, raw.pubsub() as heard:
        heard.subscribe(CHANNEL)
        heard.get_message(timeout=5)
        announce_champion(settings(redis_url=SecretStr(own_redis.url)), 7)
        message = heard.get_message(timeout=5)
    assert message["data"] == '{"model": "bookrec-hybrid", "version": 7}'


def _events(logs) -> list[str]:
    return [log["event"] for log in logs if log["event"].startswith(("announcements", "champion"))]


def _listeners(own_redis: OwnRedis) -> int:
    with redis.Redis.from_url(own_redis.url) as raw:
        ((_, count),) = raw.pubsub_numsub(CHANNEL)
        return int(count)


def _served(http: TestClient) -> int:
    return int(http.get("/api/v1/models/current").json()["version"])


def _until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)
