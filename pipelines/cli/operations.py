"""Commands that look after an installation: doctor, migrate, stop, up."""

from typing import Annotated, Any

import typer
from rich.table import Table

from pipelines.cli.output import AsJson, console, print_json
from pipelines.errors import ConfigurationError
from pipelines.settings import get_settings


def doctor(as_json: AsJson = False) -> None:
    """What is configured, and what answers; exit code 1 if something does not that should."""
    from pipelines.diagnosis import diagnose

    findings = diagnose(get_settings())
    if as_json:
        print_json(findings)
    else:
        console.print(_findings_table(findings))
    if any(f["state"] == "failed" for f in findings):
        raise typer.Exit(1)


def _findings_table(findings: list[dict[str, Any]]) -> Table:
    colours = {"ok": "green", "idle": "yellow", "failed": "red"}
    table = Table("What", "State", "Details")
    for f in findings:
        table.add_row(f["name"], f"[{colours[f['state']]}]{f['state']}[/]", f["details"])
    return table


def migrate() -> None:
    """Bring the tables in PostgreSQL to the newest revision, before a new release is started."""
    from pipelines.storage.database import ensure_database
    from pipelines.storage.database import migrate as bring_up_to_date

    url = get_settings().database_url
    if url is None:
        raise ConfigurationError("set BOOKREC_DATABASE_URL: the home's own server migrates itself")
    ensure_database(url.get_secret_value())
    bring_up_to_date(url.get_secret_value())
    console.print("the tables are up to date")


def stop() -> None:
    """Stop the home's own servers, where a killed program has left them running."""
    from pipelines.storage.local_servers import stop_local_servers

    stopped = stop_local_servers(get_settings().home)
    console.print(f"stopped {' and '.join(stopped)}" if stopped else "nothing was running")


def up(
    reload: Annotated[
        bool, typer.Option("--reload", help="Follow the source, for whoever works on it.")
    ] = False,
) -> None:
    """Start everything for a person: API, Airflow, MLflow and the servers; Ctrl-C stops it all."""
    from pipelines.supervisor import supervise

    raise typer.Exit(supervise(get_settings(), console, reload=reload))
