"""Debian's PostgreSQL 15 and a streaming replica of it."""

import os
import pwd
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import sqlalchemy as sa

from pipelines.storage.database import connect, migrate
from tests.deployment import install_debian
from tests.servers import free_port

PROGRAMS = Path("/usr/lib/postgresql/15/bin")
_QUICK = "-c fsync=off -c listen_addresses=127.0.0.1 -c unix_socket_directories=''"


class Server:
    """One server: primary, or replica of another."""

    def __init__(self, folder: Path, password: str) -> None:
        self.port = free_port()
        self.url = f"postgresql://bookrec:{password}@127.0.0.1:{self.port}/postgres"
        self._folder = folder

    def start(self) -> None:
        """Start it, and wait until it answers."""
        log = self._folder.with_suffix(".log")
        options = f"-p {self.port} {_QUICK}"
        run("pg_ctl", "-D", self._folder, "-l", log, "-w", "-o", options, "start")

    def stop(self) -> None:
        """End it at once, without a word to anybody."""
        run("pg_ctl", "-D", self._folder, "-m", "immediate", "-w", "stop")

    def ask(self, question: str) -> object:
        """What it answers to one question."""
        engine = connect(self.url)
        try:
            with engine.connect() as connection:
                return connection.execute(sa.text(question)).scalar_one()
        finally:
            engine.dispose()


@contextmanager
def replication() -> Iterator[tuple[Server, Server]]:
    """A primary with our tables, and a replica that follows it."""
    install_debian(str(PROGRAMS / "initdb"), "postgresql-15")
    folder = Path(tempfile.mkdtemp(prefix="bookrec-replication-", dir="/var/tmp"))
    password = secrets.token_hex(16)
    (folder / "password").write_text(password)
    if os.getuid() == 0:
        for path in (folder, folder / "password"):
            shutil.chown(path, "postgres")
    primary, replica = (Server(folder / name, password) for name in ("primary", "replica"))
    try:
        own = ("-U", "bookrec", "-A", "scram-sha-256", f"--pwfile={folder}/password", "--no-sync")
        run("initdb", "-D", folder / "primary", "-E", "UTF8", "--locale=C", *own)
        primary.start()
        migrate(primary.url)
        where = primary.url.removesuffix("/postgres")
        run("pg_basebackup", "-R", "-D", folder / "replica", "-c", "fast", "--no-sync", "-d", where)
        replica.start()
        yield primary, replica
    finally:
        for server in (replica, primary):
            with suppress(subprocess.CalledProcessError):
                server.stop()
        shutil.rmtree(folder)


@pytest.fixture(scope="module")
def replicated() -> Iterator[tuple[Server, Server]]:
    """A primary with our tables and its replica, for the tests of one file."""
    with replication() as servers:
        yield servers


def run(program: str, *words: str | Path) -> None:
    """Run one of PostgreSQL's programs, as the user it may run as."""
    command: Sequence[str | Path] = [PROGRAMS / program, *words]
    user = pwd.getpwnam("postgres").pw_uid if os.getuid() == 0 else None
    # What a server inherits it holds open: whoever reads that to its end would wait for ever.
    subprocess.run(command, user=user, check=True, cwd="/", stdout=subprocess.DEVNULL)
