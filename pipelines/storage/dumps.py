"""
Databases as files, by PostgreSQL's own `pg_dump` and `pg_restore`.

Passwords go through the environment, never on a command line, where anybody could read them.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg2.extensions

from pipelines.errors import StorageError
from pipelines.storage.database import parse_url, ping
from pipelines.storage.local.programs import postgres_programs

_DEBIAN = Path("/usr/lib/postgresql")
_VERSION = re.compile(r"(\d+)(?:\.\d+)*")


def dump(url: str, target: Path) -> None:
    """
    Write a database to a file: one moment of it, whoever writes to it meanwhile.

    Raises:
        StorageError: the server does not answer, or no program of its version or newer is here.
    """
    _run("pg_dump", url, "--format=custom", "--no-owner", "--no-privileges", f"--file={target}")


def load_dump(url: str, source: Path) -> None:
    """
    Fill an empty database from a file.

    Raises:
        StorageError: the file is damaged, or does not fit the server.
    """
    options = ("--exit-on-error", "--no-owner", "--no-privileges", str(source))
    _run("pg_restore", url, *options)


def _run(program: str, url: str, *options: str) -> None:
    dsn, secret = _connection(url)
    command = [str(_program(program, _major(ping(url)))), f"--dbname={dsn}", "--no-password"]
    try:
        ended = subprocess.run(
            [*command, *options], env=_environment() | secret, capture_output=True, text=True
        )
    except OSError as error:
        raise StorageError(f"cannot run {program}: {error}") from error
    if ended.returncode:
        said = ended.stderr.strip().splitlines() or [f"exit {ended.returncode}"]
        raise StorageError(f"{said[0]} (of {program})")


def _connection(url: str) -> tuple[str, dict[str, str]]:
    """What libpq is told on the command line, and what besides."""
    parsed = parse_url(url)
    told: dict[str, str] = {name: str(value) for name, value in parsed.query.items()}
    password = told.pop("password", None) or parsed.password
    place = {"host": parsed.host, "port": parsed.port, "user": parsed.username}
    told |= {name: str(value) for name, value in place.items() if value is not None}
    dsn = psycopg2.extensions.make_dsn(dbname=parsed.database, **told)
    return dsn, {} if password is None else {"PGPASSWORD": str(password)}


def _environment() -> dict[str, str]:
    """Without variables that would name another server, but with those that name certificates."""
    steering = {"PGDATABASE", "PGHOST", "PGHOSTADDR", "PGPORT", "PGUSER", "PGSERVICE", "PGOPTIONS"}
    return {name: value for name, value in os.environ.items() if name not in steering}


def _program(name: str, server: int) -> Path:
    """The program of the server's own version, else of the next newer one."""
    found = {_major(_told_version(path)): path for path in _candidates(name)}
    usable = [major for major in found if major >= server]
    if not usable:
        raise StorageError(
            f"no {name} of PostgreSQL {server} or newer is on PATH: install the client programs of "
            f"PostgreSQL {server}"
        )
    return found[min(usable)]


def _candidates(name: str) -> Iterator[Path]:
    """Where a version is there twice, what stands on PATH counts, for it comes last."""
    try:
        programs = postgres_programs()
        yield programs.under(programs.site) / name
    except StorageError:  # the wheel is not installed: then the server is somebody else's
        pass
    yield from sorted(_DEBIAN.glob(f"*/bin/{name}"))
    if on_path := shutil.which(name):
        yield Path(on_path)


def _told_version(path: Path) -> str:
    told = subprocess.run([path, "--version"], capture_output=True, text=True, check=False)
    return told.stdout.rpartition(") ")[2] or "0"


def _major(version: str) -> int:
    found = _VERSION.search(version)
    return int(found[1]) if found else 0
