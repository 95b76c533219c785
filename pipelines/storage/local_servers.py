"""
The home's own PostgreSQL and Valkey: real servers out of Python wheels, on loopback alone.

They are started by the first process that needs them and stopped by the last. A process that was
killed leaves them running; whoever comes next finds them, and stops them in the end.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from pipelines.errors import StorageError
from pipelines.storage.local.account import Account
from pipelines.storage.local.lease import Lease
from pipelines.storage.local.place import (
    Place,
    find_place,
    local_settings,
    make_place,
    open_home,
)
from pipelines.storage.local.postgres import PostgresServer
from pipelines.storage.local.programs import Programs
from pipelines.storage.local.server import LocalServer
from pipelines.storage.local.state import Endpoint, State
from pipelines.storage.local.valkey import ValkeyServer


@dataclass(frozen=True)
class LocalServers:
    """Addresses with their passwords; None for a server that was not asked for or does not run."""

    postgres_url: str | None = field(default=None, repr=False)
    redis_url: str | None = field(default=None, repr=False)


@contextmanager
def local_servers(
    home: Path, *, postgres: bool = True, redis: bool = True
) -> Iterator[LocalServers]:
    """
    Run the home's own servers for the time of the block.

    Started if they do not run, stopped by their last user. Addresses stay the same from one start
    to the next while their ports are free.

    Raises:
        StorageError: a wheel is missing, or a server cannot be started; says what to do.
    """
    if not (postgres or redis):
        yield LocalServers()
        return
    user = os.getpid()
    with _lease(home) as lease:
        servers = _join(home, lease)
        try:
            with lease.changing(), _one_line_errors(home):
                running = servers.start(postgres=postgres, redis=redis)
            yield running
        finally:
            if os.getpid() == user:  # a forked child that leaves the block is no user of its own
                _leave(home, lease, servers)


def stop_local_servers(home: Path) -> list[str]:
    """
    Stop servers that a killed process left running; gives the names of those that ran.

    Raises:
        StorageError: somebody uses them.
    """
    if not _was_used(home):
        return []
    with _lease(home) as lease, lease.changing(), _one_line_errors(home):
        try:
            if not lease.is_alone():
                raise StorageError(f"the servers of {home} are in use: end what uses them first")
            place = find_place(open_home(home), local_settings())
            return [] if place is None else _HomeServers(place).stop()
        finally:
            lease.release()


def set_database_aside(home: Path) -> Path | None:
    """
    Put away a database that does not start, so that an empty one is made; gives where it lies now.

    Raises:
        StorageError: it cannot be stopped or moved.
    """
    with _lease(home) as lease, lease.changing(), _one_line_errors(home):
        place = find_place(open_home(home), local_settings())
        return None if place is None else _HomeServers(place).set_database_aside()


def running_local_servers(home: Path) -> LocalServers | None:
    """The home's servers that answer now, or None; starts nothing."""
    if not _was_used(home):
        return None
    with _one_line_errors(home):
        place = find_place(open_home(home), local_settings())
        return None if place is None else _HomeServers(place).running()


class _HomeServers:
    """Both servers of one home, and what `servers.json` says of them."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._state_file = _state_file(place.home)
        self._servers = _servers_in(place.folder, place.account)

    def start(self, *, postgres: bool, redis: bool) -> LocalServers:
        wanted = {"postgres": postgres, "valkey": redis}
        servers = [server for server in self._servers if wanted[server.key]]
        missing = [server for server in servers if not server.runs_at(self._endpoint(server))]
        programs = [server.programs() for server in missing]
        if missing:
            self._place.prepare(_is_any_running)
        for server, its_programs in zip(missing, programs, strict=True):
            self._start(server, its_programs)
        return self._urls(servers)

    def running(self) -> LocalServers | None:
        running = [server for server in self._servers if server.runs_at(self._endpoint(server))]
        return self._urls(running) if running else None

    def stop(self) -> list[str]:
        return [server.title for server in self._servers if server.stop()]

    def set_database_aside(self) -> Path | None:
        """Its folder, and what was remembered of it if that cannot be read."""
        suffix = f"broken-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
        try:
            State.read(self._state_file)
        except StorageError:
            self._state_file.rename(self._state_file.with_suffix(f".{suffix}"))
        (postgres,) = [server for server in self._servers if server.key == "postgres"]
        postgres.stop()
        if not postgres.folder.exists():
            return None
        return postgres.folder.rename(postgres.folder.with_name(f"{postgres.key}.{suffix}"))

    def _start(self, server: LocalServer, programs: Programs) -> None:
        endpoint = self._endpoint(server)
        if endpoint is None and server.has_data():
            raise StorageError(
                f"{self._state_file} is lost, and with it the password of the database: "
                f"restore the file, or remove {server.folder} to begin anew"
            )
        executables = self._place.executables(programs)
        server.start(endpoint or Endpoint.fresh(), executables, lambda e: self._remember(server, e))

    def _endpoint(self, server: LocalServer) -> Endpoint | None:
        endpoint: Endpoint | None = getattr(State.read(self._state_file), server.key)
        return endpoint

    def _remember(self, server: LocalServer, endpoint: Endpoint) -> None:
        state = State.read(self._state_file)
        state.model_copy(update={server.key: endpoint}).write(self._state_file)

    def _urls(self, servers: list[LocalServer]) -> LocalServers:
        urls = {s.key: s.url(e) for s in servers if (e := self._endpoint(s)) is not None}
        return LocalServers(urls.get("postgres"), urls.get("valkey"))


@contextmanager
def _lease(home: Path) -> Iterator[Lease]:
    with _one_line_errors(home):
        lease = Lease(open_home(home) / "servers")
    try:
        yield lease
    finally:
        lease.close()


def _join(home: Path, lease: Lease) -> _HomeServers:
    with lease.changing(), _one_line_errors(home):
        lease.share()
        return _HomeServers(make_place(open_home(home), local_settings()))


def _leave(home: Path, lease: Lease, servers: _HomeServers) -> None:
    with lease.changing(), _one_line_errors(home):
        try:
            if lease.is_alone():
                servers.stop()
        finally:
            lease.release()


@contextmanager
def _one_line_errors(home: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError(f"cannot run the servers of {home}: {error}") from error


def _state_file(home: Path) -> Path:
    return home.expanduser() / "servers" / "servers.json"


def _was_used(home: Path) -> bool:
    with _one_line_errors(home):
        return _state_file(home).exists()


def _servers_in(folder: Path, account: Account) -> list[LocalServer]:
    durable = local_settings().fsync
    return [ValkeyServer(folder, account), PostgresServer(folder, account, durable=durable)]


def _is_any_running(folder: Path) -> bool:
    return any(server.process() is not None for server in _servers_in(folder, Account()))
