"""PostgreSQL as a server of one home."""

import shlex
import shutil
import signal
from pathlib import Path

import psycopg2
import structlog

from pipelines.errors import StorageError
from pipelines.storage.local.account import Account
from pipelines.storage.local.programs import Programs, postgres_programs
from pipelines.storage.local.server import LocalServer
from pipelines.storage.local.state import HOST, Endpoint, write_private

log = structlog.get_logger()

ROLE = "bookrec"
_SETTINGS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",  # a home's path may be longer than a socket's may be
    "max_connections": "100",
    "shared_buffers": "64MB",
    "max_wal_size": "256MB",
    # Parallel queries share memory in /dev/shm, of which a container has 64 MB.
    "max_parallel_workers_per_gather": "0",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
}
_NOT_DURABLE = {"fsync": "off", "full_page_writes": "off"}


class PostgresServer(LocalServer):
    """A cluster of its own with the superuser `bookrec`; passwords by SCRAM alone."""

    title = "PostgreSQL"
    key = "postgres"
    stop_signals = (signal.SIGINT, signal.SIGQUIT)  # "fast", then "immediate"

    def __init__(self, parent: Path, account: Account, *, durable: bool) -> None:
        super().__init__(parent, account)
        self._durable = durable
        self._data = self.folder / "data"

    @property
    def pid_file(self) -> Path:
        return self._data / "postmaster.pid"

    def url(self, endpoint: Endpoint) -> str:
        return f"postgresql+psycopg2://{ROLE}:{endpoint.password}@{HOST}:{endpoint.port}/postgres"

    def programs(self) -> Programs:
        return postgres_programs()

    def has_data(self) -> bool:
        return self._data.exists()

    def answers(self, endpoint: Endpoint) -> bool:
        try:
            connection = psycopg2.connect(
                host=HOST,
                hostaddr=HOST,
                port=endpoint.port,
                user=ROLE,
                password=endpoint.password,
                dbname="postgres",
                connect_timeout=3,
                sslmode="disable",
                gssencmode="disable",
                # A stranger who listens there must prove that they know the password as well.
                require_auth="scram-sha-256",
            )
        except psycopg2.OperationalError:
            return False
        try:
            return self._works_in_our_folder(connection)
        except psycopg2.OperationalError:  # it is shutting down
            return False
        finally:
            connection.close()

    def launch(self, endpoint: Endpoint, executables: Path) -> None:
        if not self.has_data():
            self._initialise(endpoint, executables)
        if self.process() is None:
            # Left by a crash: PostgreSQL would refuse if the id belongs to another process by now.
            self.pid_file.unlink(missing_ok=True)
        command = [str(executables / "pg_ctl"), "start", "--silent", "--wait", "--timeout=60"]
        # Relative, because pg_ctl hands paths to a shell.
        paths = ["--pgdata=data", f"--log={self.log_file.name}"]
        try:
            self._account.run(
                [*command, *paths, f"--options={self._options(endpoint)}"], cwd=self.folder
            )
        except StorageError as error:
            raise StorageError(
                f"PostgreSQL did not start: {self.last_words()} (log: {self.log_file})"
            ) from error

    def _works_in_our_folder(self, connection: "psycopg2.extensions.connection") -> bool:
        with connection.cursor() as cursor:
            cursor.execute("show data_directory")
            return bool(cursor.fetchone() == (str(self._data),))

    def _options(self, endpoint: Endpoint) -> str:
        settings = _SETTINGS | {"port": str(endpoint.port), "cluster_name": self.tag}
        if not self._durable:
            settings |= _NOT_DURABLE
        return shlex.join(f"--{name}={value}" for name, value in settings.items())

    def _initialise(self, endpoint: Endpoint, executables: Path) -> None:
        """Create the cluster under another name first: one that was begun is never used."""
        begun = self.folder / "data.new"
        shutil.rmtree(begun, ignore_errors=True)
        password = self.folder / "password"
        write_private(password, endpoint.password)
        self._account.give(password)
        try:
            self._account.run(
                [str(executables / "initdb"), *self._initdb_options()], cwd=self.folder
            )
        finally:
            password.unlink()
        begun.rename(self._data)
        log.info("local_database_created", folder=str(self._data))

    def _initdb_options(self) -> list[str]:
        options = [
            "--pgdata=data.new",
            f"--username={ROLE}",
            "--pwfile=password",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            # Sorts by code point whatever the system's C library thinks.
            "--locale=C",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            "--no-instructions",
        ]
        return options if self._durable else [*options, "--no-sync"]
