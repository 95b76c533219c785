"""`bookrec config`: what is configured, and what was."""

import json
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from pipelines.cli.output import AsJson, console, print_json
from pipelines.settings import get_settings

app = typer.Typer(help="What is configured, and what was.", no_args_is_help=True)


@app.command()
def show(as_json: AsJson = False) -> None:
    """Every setting, its value, and who set it: the environment, a file, or nobody."""
    from pipelines.configuration import configured

    settings = configured(get_settings())
    if as_json:
        print_json([asdict(setting) for setting in settings])
        return
    table = Table(box=None, pad_edge=False)
    table.add_column("Setting", no_wrap=True)
    table.add_column("From", overflow="fold")
    table.add_column("Value", overflow="fold")
    for s in settings:
        origin = s.origin if s.origin == "default" else f"[bold]{s.origin}[/]"
        table.add_row(s.variable, origin, escape(_told(s.value)))
    console.print(table)


@app.command()
def history(as_json: AsJson = False) -> None:
    """Each configuration that a backup remembers, newest first, and what changed with it."""
    from pipelines.maintenance import configurations

    found = configurations.history(get_settings())
    if as_json:
        print_json([asdict(one) for one in found])
        return
    table = Table("Since backup", "Setting", "Before", "After")
    for one in found:
        table.add_row(one.backup, *(() if one.changes else ("the first that is known",)))
        for c in one.changes:
            table.add_row("", c.variable, escape(_told(c.before)), escape(_told(c.after)))
    console.print(table if found else "No backup yet: make one (`bookrec backup`).")


@app.command()
def restore(
    backup: Annotated[str, typer.Argument(help="Its name, as `bookrec config history` lists it.")],
    as_json: AsJson = False,
) -> None:
    """Write what was set at the time of a backup to BOOKREC_CONFIG_DIR; secrets are not in it."""
    from pipelines.maintenance.configurations import restore_configuration

    done = restore_configuration(get_settings(), backup)
    if as_json:
        print_json(asdict(done))
        return
    console.print(f"Written to {done.path}; what was there lies beside it.", soft_wrap=True)
    for c in done.overruled:
        console.print(
            f"{c.variable} is {_told(c.after)!r} still, not {_told(c.before)!r}: something that "
            "goes before this file sets it, or a default has changed.",
            soft_wrap=True,
            markup=False,
        )


def _told(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
