"""What commands about accounts share: a database, a name for the record, a password."""

import getpass
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from pipelines.errors import ConfigurationError
from pipelines.settings import get_settings

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

Roles = Annotated[
    list[str], typer.Option("--role", help="reader, service, curator or admin; may repeat.")
]
FromStdin = Annotated[
    bool, typer.Option("--password-stdin", help="Read the password from stdin, without asking.")
]


@contextmanager
def acting(action: str, target: str) -> "Iterator[Session]":
    """A transaction that is on record under the name of whoever runs this command."""
    from pipelines.storage.audit import Act, audited

    with _database() as url, audited(url, Act(f"shell:{whoami()}", action, target)) as session:
        yield session


@contextmanager
def reading() -> "Iterator[Session]":
    """A transaction to look at what there is."""
    from pipelines.storage.unit_of_work import unit_of_work

    with _database() as url, unit_of_work(url) as session:
        yield session


def asked_password(from_stdin: bool, *, twice: bool = False) -> str:
    """A password from whoever runs this command."""
    if from_stdin:
        return sys.stdin.readline().rstrip("\n")
    if not sys.stdin.isatty():
        raise ConfigurationError("no terminal to ask on: give --password-stdin")
    return str(typer.prompt("Password", hide_input=True, confirmation_prompt=twice, err=True))


@contextmanager
def _database() -> Iterator[str]:
    from pipelines.storage.services import running_services

    with running_services(get_settings(), redis=False) as settings:
        yield settings.known_database_url


def whoami() -> str:
    """Whoever runs this command, as the system knows them."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return "unknown"
