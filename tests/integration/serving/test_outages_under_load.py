"""Redis and PostgreSQL that hang or die while readers ask two workers: nobody is told of it."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import cycle
from pathlib import Path

import httpx
import psutil
import psycopg2
import pytest
from sqlalchemy import make_url

from pipelines.registry import CHAMPION, MlflowRegistry
from tests import factories
from tests.integration.serving.conftest import OwnRedis, Serve, Served

pytestmark = pytest.mark.integration

THREADS = 4
SECONDS = 1.5
"""Of what is measured before an outage, and in it."""
BACK_SECONDS = 2.0
"""After these an outage has to be got over."""
LEAST_SHARE = 0.4
"""Of the answers a second before; more is the rule, but other programs run here too."""


class Readers:
    """Threads that ask one question after the other, some of them on new connections."""

    def __init__(self, base_url: str) -> None:
        self.failed: list[str] = []
        self._answered: list[float] = []
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._ask, args=(base_url,)) for _ in range(THREADS)
        ]

    @contextmanager
    def asking(self) -> Iterator["Readers"]:
        for thread in self._threads:
            thread.start()
        try:
            yield self
        finally:
            self._stop.set()
            for thread in self._threads:
                thread.join()

    def rate(self, seconds: float) -> float:
        """Answers a second, from now on."""
        before = len(self._answered)
        time.sleep(seconds)
        return (len(self._answered) - before) / seconds

    def _ask(self, base_url: str) -> None:
        with httpx.Client(base_url=base_url, timeout=10) as http:
            for number, reader in enumerate(cycle(("ann", "bob", "cid", "nobody"))):
                if self._stop.is_set():
                    return
                close = {"Connection": "close"} if number % 50 == 0 else {}
                try:
                    answer = http.get(f"/api/v1/users/{reader}/recommendations", headers=close)
                    answer.raise_for_status()
                except httpx.HTTPError as error:
                    self.failed.append(repr(error))
                self._answered.append(time.monotonic())


class Postgres:
    """All processes of the server behind an address, which may be stopped and go on."""

    def __init__(self, url: str) -> None:
        plain = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
        with psycopg2.connect(plain) as connection, connection.cursor() as cursor:
            cursor.execute("select pg_backend_pid()")
            (self._server,) = psutil.Process(cursor.fetchone()[0]).parents()[:1]
        connection.close()
        self._stopped: list[psutil.Process] = []

    def freeze(self) -> None:
        self._stopped = [self._server, *self._server.children(recursive=True)]
        for process in self._stopped:
            _send(process, signal.SIGSTOP)

    def thaw(self) -> None:
        while self._stopped:
            _send(self._stopped.pop(), signal.SIGCONT)


def _send(process: psutil.Process, number: signal.Signals) -> None:
    with suppress(psutil.NoSuchProcess):  # a backend whose client left a moment ago
        process.send_signal(number)


@pytest.fixture
def postgres(postgres_url: str) -> Iterator[Postgres]:
    if "BOOKREC_TEST_DATABASE_URL" in os.environ:
        pytest.skip("another's server is not stopped")
    server = Postgres(postgres_url)
    yield server
    server.thaw()


def test_readers_are_answered_through_every_outage(
    serve: Serve,
    registry: MlflowRegistry,
    own_redis: OwnRedis,
    postgres: Postgres,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
):
    factories.bundle().save(tmp_path / "bundle")
    registry.record_run("hybrid", "first", params={}, metrics={}, tags={})
    version = registry.register("hybrid", "first", tmp_path / "bundle", {}).version
    registry.set_alias(CHAMPION, version)
    outages = {
        "Redis hangs": (own_redis.freeze, own_redis.thaw),
        "Redis is killed": (own_redis.kill, own_redis.start),
        "PostgreSQL hangs": (postgres.freeze, postgres.thaw),
    }
    # Without their own memory, so that workers ask Redis each time.
    asking_redis = {"BOOKREC_CACHE__LOCAL_BYTES": "0", "BOOKREC_API__POLL_SECONDS": "0.5"}
    with serve(BOOKREC_REDIS_URL=own_redis.url, **asking_redis) as served:
        _until_ready(served)
        with Readers(str(served.http.base_url)).asking() as readers:
            for name, (begin, end) in outages.items():
                normal = readers.rate(SECONDS)
                begin()
                time.sleep(BACK_SECONDS)
                share = readers.rate(SECONDS) / normal
                end()
                _until_ready(served)
                record_property(name, round(share, 2))
                print(f"{name}: {normal:.0f} answers a second, {share:.2f} of them meanwhile")  # noqa: T201 - for whoever measures
                assert readers.failed == [], name
                assert share > LEAST_SHARE, name


def _until_ready(served: Served) -> None:
    """Until both workers find everything in order, each asked several times."""
    deadline = time.monotonic() + 20
    in_order = 0
    while in_order < 8:
        with httpx.Client(base_url=served.http.base_url, timeout=10) as http:
            try:
                is_ready = http.get("/readyz").json()["status"] == "ready"
            except httpx.TransportError:
                is_ready = False
        in_order = in_order + 1 if is_ready else 0
        assert time.monotonic() < deadline, served.log.read_text()[-4000:]
        time.sleep(0.02)
