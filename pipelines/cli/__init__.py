"""The command line: `bookrec`."""

import logging
import sys
from typing import Annotated

import typer

from pipelines.cli import (
    config,
    data,
    forget,
    keys,
    maintenance,
    models,
    operations,
    quality,
    releases,
    runs,
    token,
    users,
    webhooks,
)
from pipelines.errors import BookrecError
from pipelines.observability import configure_logging
from pipelines.processes import stop_on_sigterm

app = typer.Typer(
    help="Book recommendations from trusted data: run the pipeline, then ask the champion.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.command()(runs.run)
app.command()(runs.load)
app.command()(models.recommend)
app.command()(models.similar)
app.command()(models.search)
app.command()(models.export)
app.command()(releases.promote)
app.command()(releases.rollback)
app.command()(quality.quality)
app.command()(forget.forget)
app.command()(maintenance.backup)
app.command()(maintenance.backups)
app.command()(maintenance.restore)
app.command()(maintenance.prune)
app.command()(operations.doctor)
app.command()(operations.migrate)
app.command()(operations.up)
app.command()(operations.stop)
app.command()(token.token)
app.add_typer(releases.app, name="models")
app.add_typer(users.app, name="users")
app.add_typer(keys.app, name="keys")
app.add_typer(config.app, name="config")
app.add_typer(data.app, name="data")
app.add_typer(webhooks.app, name="webhooks")


@app.callback()
def _options(
    verbose: Annotated[bool, typer.Option("--verbose", help="Show what happens inside.")] = False,
) -> None:
    configure_logging(level=logging.INFO if verbose else logging.WARNING)


def main() -> None:
    """Run a command; what went wrong is one line on stderr and exit code 1."""
    stop_on_sigterm()
    try:
        app()
    except BookrecError as error:
        sys.exit(f"bookrec: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
