"""`bookrec keys`: API keys of programs."""

from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from pipelines.cli.acting import Roles, acting, reading
from pipelines.cli.output import AsJson, console, print_json, progress_console

if TYPE_CHECKING:
    from pipelines.storage.accounts import Key

app = typer.Typer(help="API keys of programs.", no_args_is_help=True)


@app.command("add")
def add(
    name: Annotated[str, typer.Argument(help="What the key is for.")],
    role: Roles,
    days: Annotated[int | None, typer.Option(min=1, max=3650, help="Until it is over.")] = None,
    as_json: AsJson = False,
) -> None:
    """Make an API key, and show it this once."""
    from pipelines.credentials.api_keys import ApiKey
    from pipelines.credentials.roles import parse_roles
    from pipelines.storage.accounts import KeyRepository

    key, roles = ApiKey.new(), parse_roles(role)
    over = None if days is None else datetime.now(UTC) + timedelta(days=days)
    with acting("key.add", f"key:{key.key_id} {'+'.join(sorted(roles))}") as session:
        KeyRepository(session).add(key, name, roles, over)
    if as_json:
        print_json({"key_id": key.key_id, "api_key": key.text, "roles": sorted(roles)})
        return
    console.print(key.text, soft_wrap=True, markup=False)
    progress_console.print("It is shown this once: send it as X-API-Key.")


@app.command("revoke")
def revoke(key_id: Annotated[str, typer.Argument(help="As `bookrec keys list` shows it.")]) -> None:
    """Let a key open nothing any more; a running service notices within a minute."""
    from pipelines.storage.accounts import KeyRepository

    with acting("key.revoke", f"key:{key_id}") as session:
        KeyRepository(session).revoke(key_id)
    console.print(f"{key_id} opens nothing any more", markup=False)


@app.command("list")
def list_keys(as_json: AsJson = False) -> None:
    """What is known of every key; the keys themselves are nowhere."""
    from pipelines.storage.accounts import KeyRepository

    with reading() as session:
        found = KeyRepository(session).all()
    if as_json:
        print_json([_key_document(key) for key in found])
        return
    table = Table("Key", "For", "Roles", "Since", "State")
    for key in found:
        state = "[green]good[/]" if key.opens else "[red]over[/]"
        roles, since = ", ".join(sorted(key.roles)), f"{key.created_at:%Y-%m-%d}"
        table.add_row(key.key_id, escape(key.name), roles, since, state)
    console.print(table if found else "No key yet: `bookrec keys add NAME --role service`.")


def _key_document(key: "Key") -> dict[str, Any]:
    document = asdict(key) | {"roles": sorted(key.roles), "opens": key.opens}
    del document["secret_hash"]
    return document
