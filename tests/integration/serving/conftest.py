import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import pytest
import redis
from sqlalchemy import create_engine, make_url, text

from pipelines.registry import MlflowRegistry
from pipelines.storage.database import ensure_database, sibling
from pipelines.storage.local.programs import valkey_programs
from tests.servers import free_port
from tests.serving_parts import ADMIN_TOKEN, admin


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


@dataclass
class Served:
    http: httpx.Client
    log: Path
    process: "subprocess.Popen[bytes]"
    killed: bool = False

    @property
    def address(self) -> str:
        """Host and port."""
        return self.http.base_url.netloc.decode()

    def kill(self) -> None:
        """As a machine that loses its power: master and workers, without a word."""
        self.killed = True
        master = psutil.Process(self.process.pid)
        for process in (master, *master.children(recursive=True)):
            process.kill()
        self.process.wait()

    def until(self, path: str, holds: Callable[[httpx.Response], bool]) -> httpx.Response:
        """Ask until it holds, or show the log and fail."""
        deadline = time.monotonic() + 90
        while True:
            try:
                answer = self.http.get(path, headers=admin())
                if holds(answer):
                    return answer
            except httpx.TransportError:
                pass
            assert time.monotonic() < deadline, self.log.read_text()[-4000:]
            time.sleep(0.1)


Serve = Callable[..., AbstractContextManager[Served]]


@pytest.fixture
def serve(
    postgres_url: str,
    redis_url: str,
    registry: MlflowRegistry,  # noqa: ARG001 - prepared before anyone asks it
    tmp_path: Path,
) -> Serve:
    """Starts the service with two workers, and what else is set; several need names."""
    environment = os.environ | {
        "BENTOML_DO_NOT_TRACK": "True",
        "BOOKREC_HOME": str(tmp_path / "home"),
        "BOOKREC_DATABASE_URL": postgres_url,
        "BOOKREC_REDIS_URL": redis_url,
        "BOOKREC_API__ADMIN_TOKEN": ADMIN_TOKEN,
        "BOOKREC_API__WORKERS": "2",
    }

    @contextmanager
    def run(name: str = "serve", **changes: str) -> Iterator[Served]:
        port, log = free_port(), tmp_path / f"{name}.log"
        own = {"BENTOML_HOME": str(tmp_path / "bentoml" / name)}
        command = [sys.executable, "-m", "bentoml", "serve", "serving.service:BookRecommender"]
        with log.open("w") as stream:
            process = subprocess.Popen(
                [*command, "--host", "127.0.0.1", "--port", str(port)],
                env=environment | own | changes,
                stdout=stream,
                stderr=subprocess.STDOUT,
            )
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10) as http:
            served = Served(http, log, process)
            try:
                yield served
            finally:
                process.terminate()
                code = process.wait(20)
        assert served.killed or code == 0

    return run
