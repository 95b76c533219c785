"""`bookrec config`: what is configured."""

import json
from dataclasses import asdict
from typing import Any

import typer
from rich.markup import escape
from rich.table import Table

from pipelines.cli.output import AsJson, console, print_json
from pipelines.settings import get_settings

app = typer.Typer(help="What is configured.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Keeps `show` a command of its own while it is the only one."""


@app.command()
def show(as_json: AsJson = False) -> None:
    """Every setting, its value, and whether the environment, a .env file or nobody set it."""
    from pipelines.configuration import configured

    settings = configured(get_settings())
    if as_json:
        print_json([asdict(setting) for setting in settings])
        return
    table = Table(box=None, pad_edge=False)
    table.add_column("Setting", no_wrap=True)
    table.add_column("From", no_wrap=True)
    table.add_column("Value", overflow="fold")
    for s in settings:
        origin = s.origin if s.origin == "default" else f"[bold]{s.origin}[/]"
        table.add_row(s.variable, origin, escape(_told(s.value)))
    console.print(table)


def _told(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
