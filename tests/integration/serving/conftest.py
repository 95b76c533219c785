import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from sqlalchemy import create_engine, make_url, text

from pipelines.registry import MlflowRegistry
from pipelines.storage.database import ensure_database, sibling
from pipelines.storage.local.programs import valkey_programs
from tests.servers import free_port


class OwnRedis:
    """A Redis of one test alone, which may be killed, frozen and started again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = free_port()
        self.url = f"redis://127.0.0.1:{self._port}/0"
        self.start()

    def start(self) -> None:
        programs = valkey_programs()
        self._process = subprocess.Popen(
            [
                programs.under(programs.site) / "valkey-server",
                *("--port", str(self._port), "--bind", "127.0.0.1", "--save", ""),
                *("--dir", str(self._folder)),
            ],
            stdout=subprocess.DEVNULL,
        )
        self._wait_until_it_answers()

    def freeze(self) -> None:
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def _wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + 10
        with redis.Redis.from_url(self.url) as client:
            while True:
                try:
                    client.ping()
                except redis.ConnectionError:
                    assert time.monotonic() < deadline
                    time.sleep(0.02)
                else:
                    return


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[OwnRedis]:
    server = OwnRedis(tmp_path)
    yield server
    server.thaw()
    server.kill()


@pytest.fixture
def mlflow_database(postgres_url: str) -> Iterator[str]:
    url = sibling(postgres_url, "mlflow")
    ensure_database(url)
    yield url
    engine = create_engine(postgres_url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f'drop database "{make_url(url).database}" with (force)'))
    engine.dispose()


@pytest.fixture
def registry(mlflow_database: str, tmp_path: Path) -> MlflowRegistry:
    registry = MlflowRegistry(
        mlflow_database, tmp_path / "mlruns", experiment="bookrec", model="bookrec-hybrid"
    )
    registry.prepare()
    return registry
