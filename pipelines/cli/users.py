"""`bookrec users`: people who log in with a password."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from pipelines.cli.acting import FromStdin, Roles, acting, asked_password, reading
from pipelines.cli.output import AsJson, console, print_json

if TYPE_CHECKING:
    from pipelines.storage.accounts import User

app = typer.Typer(help="People who log in with a password.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="A reader's name is their id among the readers.")]


@app.command("add")
def add(name: Name, role: Roles, password_stdin: FromStdin = False) -> None:
    """Make an account."""
    from pipelines.credentials.passwords import hash_password
    from pipelines.credentials.roles import parse_roles
    from pipelines.storage.accounts import UserRepository

    roles = parse_roles(role)
    hashed = hash_password(_new_password(password_stdin))
    with acting("user.add", f"user:{name} {'+'.join(sorted(roles))}") as session:
        UserRepository(session).add(name, hashed, roles)
    _say(f"{name} may log in as {', '.join(sorted(roles))}")


@app.command("roles")
def set_roles(name: Name, role: Roles) -> None:
    """Give an account these roles, and no others."""
    from pipelines.credentials.roles import parse_roles
    from pipelines.storage.accounts import UserRepository

    roles = parse_roles(role)
    with acting("user.change", f"user:{name} {'+'.join(sorted(roles))}") as session:
        UserRepository(session).change(name, roles=roles)
    _say(f"{name} is {', '.join(sorted(roles))} from the next token on")


@app.command("password")
def set_password(name: Name, password_stdin: FromStdin = False) -> None:
    """Give an account another password."""
    from pipelines.credentials.passwords import hash_password
    from pipelines.storage.accounts import UserRepository

    hashed = hash_password(_new_password(password_stdin))
    with acting("user.change", f"user:{name} password") as session:
        UserRepository(session).change(name, password_hash=hashed)
    _say(f"{name} has another password")


@app.command("disable")
def disable(name: Name) -> None:
    """Let an account log in no more; tokens that it has end within their quarter of an hour."""
    _set_disabled(name, disabled=True)


@app.command("enable")
def enable(name: Name) -> None:
    """Let an account log in again."""
    _set_disabled(name, disabled=False)


@app.command("remove")
def remove(name: Name) -> None:
    """Delete an account; data of the reader themselves are what `bookrec forget` erases."""
    from pipelines.storage.accounts import UserRepository

    with acting("user.remove", f"user:{name}") as session:
        UserRepository(session).remove(name)
    _say(f"{name} has no account any more")


@app.command("list")
def list_users(as_json: AsJson = False) -> None:
    """Every account."""
    from pipelines.storage.accounts import UserRepository

    with reading() as session:
        found = UserRepository(session).all()
    if as_json:
        print_json([_user_document(user) for user in found])
        return
    table = Table("Name", "Roles", "Since", "State")
    for user in found:
        state = "[red]disabled[/]" if user.disabled else "[green]active[/]"
        roles = ", ".join(sorted(user.roles))
        table.add_row(escape(user.name), roles, f"{user.created_at:%Y-%m-%d}", state)
    console.print(table if found else "No account yet: `bookrec users add NAME --role reader`.")


def _set_disabled(name: str, *, disabled: bool) -> None:
    from pipelines.storage.accounts import UserRepository

    action = "user.disable" if disabled else "user.enable"
    with acting(action, f"user:{name}") as session:
        UserRepository(session).change(name, disabled=disabled)
    _say(f"{name} may {'no longer' if disabled else 'again'} log in")


def _new_password(from_stdin: bool) -> str:
    from pipelines.credentials.passwords import refuse_weak

    password = asked_password(from_stdin, twice=True)
    refuse_weak(password)
    return password


def _user_document(user: "User") -> dict[str, Any]:
    document = asdict(user) | {"roles": sorted(user.roles)}
    del document["password_hash"]
    return document


def _say(text: str) -> None:
    console.print(text, markup=False, soft_wrap=True)
