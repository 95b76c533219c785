"""Connections to PostgreSQL: addresses, databases, migrations."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from psycopg2.errors import DuplicateDatabase
from sqlalchemy import URL, Connection, Engine, create_engine, make_url, text
from sqlalchemy.exc import ArgumentError, IntegrityError, OperationalError, ProgrammingError

from pipelines.errors import ConfigurationError, StorageError
from pipelines.storage.locks import Lock, take_turns


def parse_url(url: str) -> URL:
    """
    A PostgreSQL address with its driver named.

    Raises:
        ConfigurationError: malformed, or another database than PostgreSQL.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as error:
        raise ConfigurationError("the database URL is malformed") from error
    if parsed.get_backend_name() not in {"postgresql", "postgres"}:
        raise ConfigurationError(
            f"the database must be PostgreSQL, not {parsed.get_backend_name()!r}"
        )
    return parsed.set(drivername="postgresql+psycopg2")


def sibling(url: str, suffix: str) -> str:
    """The address of the database `<name>_<suffix>` on the same server."""
    parsed = parse_url(url)
    return parsed.set(database=f"{parsed.database}_{suffix}").render_as_string(hide_password=False)


def connect(url: str) -> Engine:
    """An engine that notices dead connections and gives up on a dead server in seconds."""
    return create_engine(
        parse_url(url), pool_pre_ping=True, connect_args={"connect_timeout": 5}, pool_size=5
    )


def ping(url: str) -> str:
    """
    The server's version.

    Raises:
        StorageError: it does not answer.
    """
    engine = connect(url)
    try:
        with engine.connect() as connection:
            return str(connection.execute(text("show server_version")).scalar_one())
    except OperationalError as error:
        raise StorageError(_unreachable(url, error)) from error
    finally:
        engine.dispose()


def ensure_database(url: str) -> None:
    """
    Create the database that `url` names where it does not exist yet.

    Raises:
        StorageError: the server does not answer, or refuses to create it.
    """
    try:
        ping(url)
    except StorageError:
        _create(parse_url(url))  # says why, if it is not that the database is missing


def _create(url: URL) -> None:
    try:
        # A process that starts at the same moment may be first: then it exists, as wanted.
        with _administering(url) as connection, suppress(IntegrityError):
            connection.execute(text(f"create database {_quoted(connection, url)}"))
    except ProgrammingError as error:
        if not isinstance(error.orig, DuplicateDatabase):
            raise StorageError(
                f"cannot create database {url.database!r}: create it yourself, "
                "or let this role create databases"
            ) from error


def database_exists(url: str) -> bool:
    """
    Whether the server has the database that `url` names.

    Raises:
        StorageError: the server does not answer.
    """
    named = text("select exists(select from pg_database where datname = :name)")
    with _administering(parse_url(url)) as connection:
        return bool(connection.execute(named, {"name": parse_url(url).database}).scalar_one())


def drop_database(url: str) -> None:
    """
    Remove a database if it is there; whoever works with it is disconnected.

    Raises:
        StorageError: the server does not answer, or refuses.
    """
    with _administering(parse_url(url)) as connection, _refusals():
        quoted = _quoted(connection, parse_url(url))
        connection.execute(text(f"drop database if exists {quoted} with (force)"))


def replace_database(url: str, draft: str) -> None:
    """
    Give the database `draft` the place of the one that `url` names, which goes.

    Killed in between, neither name is lost for good: the draft is there, and may be put in place
    again.

    Raises:
        StorageError: the server does not answer, or refuses.
    """
    drop_database(url)
    with _administering(parse_url(url)) as connection, _refusals():
        names = _quoted(connection, parse_url(draft)), _quoted(connection, parse_url(url))
        connection.execute(text("alter database {} rename to {}".format(*names)))


@contextmanager
def _administering(url: URL) -> Iterator[Connection]:
    """A connection to the server's own database, outside of transactions."""
    engine = create_engine(
        url.set(database="postgres"),
        isolation_level="AUTOCOMMIT",
        connect_args={"connect_timeout": 5},
    )
    try:
        with engine.connect() as connection:
            yield connection
    except OperationalError as error:
        raise StorageError(_unreachable(url, error)) from error
    finally:
        engine.dispose()


@contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except ProgrammingError as error:
        told = str(error.orig).strip().splitlines()[0]
        raise StorageError(f"the database cannot be replaced: {told}") from error


def _quoted(connection: Connection, url: URL) -> str:
    return connection.dialect.identifier_preparer.quote(url.database or "")


def _unreachable(url: str | URL, error: OperationalError) -> str:
    address = make_url(url).render_as_string(hide_password=True)
    return f"PostgreSQL at {address}: {str(error.orig).strip().splitlines()[0]}"


def migrate(url: str) -> None:
    """Bring our tables to the newest revision; safe to run twice and at once."""
    from alembic import command  # which only whoever migrates waits for
    from alembic.config import Config

    engine = connect(url)
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    try:
        with engine.begin() as connection:
            take_turns(connection, Lock.MIGRATION)
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    except OperationalError as error:
        raise StorageError(_unreachable(url, error)) from error
    finally:
        engine.dispose()
