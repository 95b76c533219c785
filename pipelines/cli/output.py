"""How commands answer: for people by default, for machines with `--json`."""

import json
import sys
from typing import Annotated, Any

import typer
from rich.console import Console

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]

console = Console(highlight=False)
"""For what was asked for: stdout."""
progress_console = Console(stderr=True, highlight=False)
"""For what happens meanwhile: stderr, so that pipes stay clean."""


def print_json(document: Any) -> None:
    """One JSON document on stdout."""
    json.dump(document, sys.stdout, ensure_ascii=False, default=str)
    sys.stdout.write("\n")
