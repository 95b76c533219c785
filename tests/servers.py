"""
Real servers for tests: the project's own, or those that the environment names.

With `BOOKREC_TEST_DATABASE_URL` (a role that may create databases) and `BOOKREC_TEST_REDIS_URL`
(servers whose databases may be flushed, a word each) the same tests run against other servers. So
many processes run them as there are of Redis: what is said over it is heard in all its databases.
"""

import os
import secrets
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psycopg2
import pytest
import redis
from psycopg2 import sql
from sqlalchemy import make_url

from pipelines.storage.local_servers import local_servers


@pytest.fixture(scope="session")
def open_folder() -> Iterator[Path]:
    """A folder that every user can enter, unlike pytest's own."""
    folder = Path(tempfile.mkdtemp(prefix="bookrec-tests-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session", autouse=True)
def _local_servers_leave_no_trace(open_folder: Path) -> Iterator[None]:
    """Whatever starts servers in this session: fast, and not in /var/lib."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BOOKREC_LOCAL_FSYNC", "off")
        patch.setenv("BOOKREC_LOCAL_SERVERS_ROOT", str(open_folder / "servers"))
        yield


@pytest.fixture(scope="session")
def _servers_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("servers-home")


@pytest.fixture(scope="session")
def _postgres_server(_servers_home: Path) -> Iterator[str]:
    with ExitStack() as stack:
        url = os.environ.get("BOOKREC_TEST_DATABASE_URL")
        yield url or str(
            stack.enter_context(local_servers(_servers_home, redis=False)).postgres_url
        )


@pytest.fixture(scope="session")
def _redis_server(_servers_home: Path, worker_id: str) -> Iterator[str]:
    with ExitStack() as stack:
        if others := redis_of_others():
            yield others[int(worker_id.removeprefix("gw")) if worker_id != "master" else 0]
        else:
            own = stack.enter_context(local_servers(_servers_home, postgres=False))
            yield str(own.redis_url)


def redis_of_others() -> list[str]:
    """The servers that the environment names, one for each process that runs tests."""
    return os.environ.get("BOOKREC_TEST_REDIS_URL", "").split()


@pytest.fixture
def postgres_url(_postgres_server: str) -> Iterator[str]:
    """The address of an empty database of this test alone."""
    with temporary_database(_postgres_server, "test") as url:
        yield url


@pytest.fixture
def redis_url(_redis_server: str) -> str:
    """The address of an empty Redis database."""
    with redis.Redis.from_url(_redis_server) as client:
        client.flushdb()
    return _redis_server


@contextmanager
def temporary_database(server: str, prefix: str) -> Iterator[str]:
    """The address of an empty database that goes when the block ends."""
    name = f"{prefix}_{secrets.token_hex(6)}"
    execute(server, "create database {}", name)
    yield make_url(server).set(database=name).render_as_string(hide_password=False)
    execute(server, "drop database {} with (force)", name)


def free_port() -> int:
    """A port of the loopback that nothing listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def execute(url: str, statement: str, name: str) -> None:
    """Run a statement outside of transactions, with a name in the place of `{}`."""
    plain = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    connection = psycopg2.connect(plain)
    try:
        connection.autocommit = True  # databases are created and dropped outside transactions
        with connection.cursor() as cursor:
            cursor.execute(sql.SQL(statement).format(sql.Identifier(name)))
    finally:
        connection.close()
