"""Readers' records from a real streaming replica, which lags, goes and comes back."""

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from starlette.testclient import TestClient

from pipelines.diagnosis import _replica
from pipelines.errors import StorageError
from serving.caching.local_cache import LocalCache
from tests.replication import Server
from tests.serving_parts import Shelf, admin, bundle, client, parts, settings

pytestmark = pytest.mark.integration

LAG_SECONDS = 0.5
SLACK_SECONDS = 1
"""For one slow answer; without a bound there would be no end to it."""
READERS = count(1)
"""Each test has one of its own; the model knows twenty."""


@pytest.fixture
def replica(replicated: tuple[Server, Server]) -> Server:
    return replicated[1]


@pytest.fixture
def reader() -> int:
    return next(READERS)


def service(primary: Server, read_url: str, home: Path) -> TestClient:
    """One that remembers no answers."""
    shelf = Shelf()
    shelf.publish(bundle())
    changes: dict[str, Any] = {
        "home": home,
        "database_url": SecretStr(primary.url),
        "database_read_url": SecretStr(read_url),
        "database_read_lag_seconds": LAG_SECONDS,
    }
    return client(replace(parts(shelf, **changes), local_cache=LocalCache(0, 1)))


@pytest.fixture
def http(replicated: tuple[Server, Server], tmp_path: Path) -> Iterator[TestClient]:
    primary, replica = replicated
    with service(primary, replica.url, tmp_path / "home") as http:
        yield http


@pytest.fixture
def other(replicated: tuple[Server, Server], tmp_path: Path) -> Iterator[TestClient]:
    """Another service, of which the first hears nothing."""
    primary, replica = replicated
    with service(primary, replica.url, tmp_path / "other") as http:
        yield http


def events(http: TestClient, reader: int | str) -> int:
    answer = http.get(f"/api/v1/users/{reader}")
    assert answer.status_code == 200, answer.text
    return int(answer.json()["events"])


def tell(http: TestClient, reader: int) -> None:
    told = {"events": [{"user_id": reader, "book_id": 12, "kind": "read"}]}
    assert http.post("/api/v1/feedback", json=told).status_code == 202


def reads(http: TestClient, server: str) -> int:
    counted = http.app.state.components.metrics.database_reads
    return int(counted.labels(server)._value.get())


@contextmanager
def held_back(replica: Server) -> Iterator[None]:
    """As one is that has too much to do: connected, answering, and late."""
    replica.ask("select coalesce(pg_wal_replay_pause()::text, '')")
    yield
    replica.ask("select coalesce(pg_wal_replay_resume()::text, '')")


def seconds_until(condition: Callable[[], bool]) -> float:
    started = time.monotonic()
    while not condition():
        assert time.monotonic() - started < 10
        time.sleep(0.01)
    return time.monotonic() - started


def test_a_record_comes_from_the_replica(http: TestClient, other: TestClient, reader: int):
    tell(other, reader)
    assert seconds_until(lambda: events(http, reader) == 1) <= LAG_SECONDS + SLACK_SECONDS
    seconds_until(lambda: events(http, reader) == 1 and reads(http, "replica") > 0)


def test_a_reader_sees_at_once_what_they_told_this_service(
    http: TestClient, reader: int, replica: Server
):
    with held_back(replica):
        tell(http, reader)
        assert events(http, reader) == 1
        assert http.put(f"/api/v1/users/new-{reader}", headers=admin()).status_code == 201
        assert events(http, f"new-{reader}") == 0


def test_what_another_service_was_told_is_missing_no_longer_than_settings_allow(
    http: TestClient, other: TestClient, reader: int, replica: Server
):
    """Of a replica that replays nothing any more, what is older is not believed."""
    seconds_until(lambda: events(http, reader) == 0 and reads(http, "replica") > 0)
    with held_back(replica):
        tell(other, reader)
        assert seconds_until(lambda: events(http, reader) == 1) <= LAG_SECONDS + SLACK_SECONDS
        from_replica = reads(http, "replica")
        assert [events(http, reader) for _ in range(5)] == [1] * 5
        assert reads(http, "replica") == from_replica
    seconds_until(lambda: events(http, reader) == 1 and reads(http, "replica") > from_replica)


def test_while_the_replica_is_away_the_primary_answers(
    http: TestClient, reader: int, replica: Server, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("serving.read_replica.PAUSE_SECONDS", 0.2)
    seconds_until(lambda: events(http, reader) == 0 and reads(http, "replica") > 0)
    replica.stop()
    try:
        from_replica = reads(http, "replica")
        tell(http, reader)
        assert events(http, reader) == 1
        assert reads(http, "replica") == from_replica
    finally:
        replica.start()
    seconds_until(lambda: events(http, reader) == 1 and reads(http, "replica") > from_replica)


def test_nobody_waits_for_a_replica_that_says_nothing(
    replicated: tuple[Server, Server], reader: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("serving.read_replica.ANSWER_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql://bookrec@127.0.0.1:{silent.getsockname()[1]}/postgres"
        with service(replicated[0], url, tmp_path) as http:
            assert events(http, reader) == 0
            assert events(http, reader) == 0
            assert (reads(http, "primary"), reads(http, "replica")) == (2, 0)


def test_the_doctor_tells_a_replica_from_a_primary(replicated: tuple[Server, Server]):
    primary, replica = replicated
    assert _replica(settings(database_read_url=SecretStr(replica.url))).startswith("15")
    with pytest.raises(StorageError, match="follows no primary"):
        _replica(settings(database_read_url=SecretStr(primary.url)))


def test_a_server_that_follows_nobody_is_not_believed(
    replicated: tuple[Server, Server], reader: int, tmp_path: Path
):
    """A replica that became a primary may miss what the other has been told since."""
    with service(replicated[0], replicated[0].url, tmp_path) as http:
        assert events(http, reader) == 0
        assert (reads(http, "primary"), reads(http, "replica")) == (1, 0)
