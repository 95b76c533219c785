"""A cluster of three nodes of Redis, put together by the commands that an operator gives."""

import secrets
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from pipelines.storage.local.programs import valkey_programs
from tests.servers import free_port, redis_of_others

SLOTS = 16384
NODES = 3
START_SECONDS = 20


class Node:
    """One server, which holds a third of the keys."""

    def __init__(self, folder: Path, password: str) -> None:
        folder.mkdir()
        self.port, self._bus = free_port(), free_port()
        self._folder, self._password = folder, password
        self.client = redis.Redis(port=self.port, password=password, retry=Retry(NoBackoff(), 0))
        self.start()

    def start(self) -> None:
        """Start it, with what it knows of the cluster if it ran before."""
        self._process = subprocess.Popen(
            [_program(), "-"], cwd=self._folder, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
        )
        assert self._process.stdin is not None
        self._process.stdin.write(self._configuration().encode())
        self._process.stdin.close()
        until(self._answers)

    def kill(self) -> None:
        """End it without a word."""
        self._process.kill()
        self._process.wait()

    def meet(self, other: "Node") -> None:
        """Make it known to another."""
        self.client.execute_command("CLUSTER MEET", "127.0.0.1", other.port, other._bus)

    def is_in_order(self) -> bool:
        """Whether it says that all of the cluster is there."""
        return self._answers() and self.client.cluster("INFO")["cluster_state"] == "ok"

    def _answers(self) -> bool:
        try:
            return bool(self.client.ping())
        except redis.RedisError:
            return False

    def _configuration(self) -> str:
        return (
            f"bind 127.0.0.1\nport {self.port}\ncluster-port {self._bus}\ncluster-enabled yes\n"
            f"cluster-node-timeout 1000\nrequirepass {self._password}\nsave ''\n"
        )


class Cluster:
    """Three nodes that hold all slots, without copies."""

    def __init__(self, folder: Path) -> None:
        password = secrets.token_hex(8)
        self.nodes = [Node(folder / str(number), password) for number in range(NODES)]
        self.url = f"redis+cluster://:{password}@127.0.0.1:{self.nodes[0].port}/0"
        bounds = [SLOTS * number // NODES for number in range(NODES + 1)]
        for node, first, end in zip(self.nodes, bounds, bounds[1:], strict=False):
            node.client.execute_command("CLUSTER ADDSLOTSRANGE", first, end - 1)
            node.meet(self.nodes[0])
        self.wait()

    def wait(self) -> None:
        """Until every node says that the cluster is in order."""
        until(lambda: all(node.is_in_order() for node in self.nodes))

    def held(self) -> list[set[bytes]]:
        """What each node holds."""
        return [set(node.client.keys()) for node in self.nodes]


@contextmanager
def redis_cluster(folder: Path) -> Iterator[Cluster]:
    """A cluster for as long as the block lasts."""
    cluster = Cluster(folder)
    try:
        yield cluster
    finally:
        for node in cluster.nodes:
            node.kill()
            node.client.close()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster of the tests of one file."""
    with redis_cluster(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


@pytest.fixture
def cluster_url(cluster: Cluster) -> str:
    """The address of an empty cluster that is in order."""
    for node in cluster.nodes:
        node.client.flushall()
    return cluster.url


def until(condition: Callable[[], bool]) -> None:
    """Wait for something that has to come soon."""
    deadline = time.monotonic() + START_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _program() -> str:
    """That of Debian where tests run against servers of others, else the project's own."""
    if redis_of_others() and (program := shutil.which("redis-server")):
        return program
    programs = valkey_programs()
    return str(programs.under(programs.site) / "valkey-server")
