"""Commands about versions: `bookrec models` and what is below it, `bookrec promote`, `rollback`."""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from pipelines.cli.acting import whoami
from pipelines.cli.output import AsJson, console, print_json
from pipelines.errors import ConfigurationError, ReleaseError
from pipelines.settings import get_settings

if TYPE_CHECKING:
    from pipelines.settings import Settings
    from pipelines.storage.alias_moves import Action, AliasMove

app = typer.Typer(help="Registered versions, newest first; `history` tells how they moved.")


@app.callback(invoke_without_command=True)
def list_models(context: typer.Context, as_json: AsJson = False) -> None:
    """Registered versions, newest first, with their aliases and metrics."""
    if context.invoked_subcommand is not None:
        return
    from pipelines.registry import MlflowRegistry
    from pipelines.storage.services import running_services

    with running_services(get_settings(), redis=False) as settings:
        versions = MlflowRegistry.from_settings(settings).versions()
    if as_json:
        print_json([asdict(v) for v in versions])
        return
    table = Table("Version", "Aliases", "Created", "Source", "NDCG@10", "Coverage@10")
    for v in versions:
        measured = (v.tags.get(name, "") for name in ("ndcg_at_10", "coverage_at_10"))
        created = f"{v.created_at:%Y-%m-%d %H:%M}"
        source = v.tags.get("source", "")
        table.add_row(str(v.version), ", ".join(v.aliases), created, source, *measured)
    console.print(table if versions else "No version yet: run the pipeline first (`bookrec run`).")


@app.command()
def history(as_json: AsJson = False) -> None:
    """How the champion came to be: every move of its alias, newest first."""
    from pipelines.registry import CHAMPION
    from pipelines.storage.alias_moves import AliasMoves
    from pipelines.storage.services import running_services
    from pipelines.storage.unit_of_work import unit_of_work

    with (
        running_services(get_settings(), redis=False) as settings,
        unit_of_work(settings.known_database_url) as session,
    ):
        moves = AliasMoves(session, settings.registered_model, CHAMPION).all()
    if as_json:
        print_json([asdict(move) for move in moves])
    else:
        console.print(_history(moves) if moves else "No version was champion yet.")


@app.command()
def compare(
    versions: Annotated[
        list[int] | None, typer.Argument(min=1, help="Which; the newest if none is given.")
    ] = None,
    n: Annotated[int, typer.Option("-n", "--n", min=1, help="How many of the newest.")] = 10,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The page to write.", dir_okay=False)
    ] = Path("versions.html"),
    as_json: AsJson = False,
) -> None:
    """Versions side by side on a page: accuracy with intervals, variety, code and data."""
    from pipelines.registry import MlflowRegistry
    from pipelines.release.comparison import comparison, measured
    from pipelines.storage.services import running_services

    with running_services(get_settings(), redis=False) as settings:
        registry = MlflowRegistry.from_settings(settings)
        known = registry.versions()
        missing = set(versions or ()) - {v.version for v in known}
        if missing:
            raise ReleaseError(f"there is no version {', '.join(map(str, sorted(missing)))}")
        chosen = [v for v in known if v.version in versions] if versions else known[:n]
        compared = measured(registry, chosen)
    if as_json:
        print_json([asdict(c.version) | {"metrics": c.metrics} for c in compared])
    elif compared:
        page = comparison(settings.registered_model, compared, _mlflow_pages(settings))
        output.write_text(page.html(), encoding="utf-8")
        console.print(f"{len(compared)} versions compared: {output}", soft_wrap=True)
    else:
        console.print("No version was measured yet: run the pipeline first (`bookrec run`).")


Reason = Annotated[str, typer.Option(help="For those who read the history.")]
Force = Annotated[
    bool, typer.Option("--force", help="Also to a version that the gate has not accepted.")
]
Yes = Annotated[bool, typer.Option("--yes", help="Do it without asking.")]


def promote(
    version: Annotated[int, typer.Argument(min=1, help="A registered version.")],
    reason: Reason,
    force: Force = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Make a version champion by hand; `rollback` then leads to the one that it replaced."""
    if not yes:
        _confirm(f"Make version {version} champion?")
    _make_champion(version, "promote", reason, force=force, as_json=as_json)


def rollback(
    reason: Reason,
    to: Annotated[
        int | None,
        typer.Option(min=1, help="A version; the champion before this one if not given."),
    ] = None,
    force: Force = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Make another version champion; running services follow within seconds."""
    if not yes:
        target = "the champion before this one" if to is None else f"version {to}"
        _confirm(f"Roll back to {target}?")
    _make_champion(to, "rollback", reason, force=force, as_json=as_json)


def _mlflow_pages(settings: "Settings") -> str:
    from pipelines.data.sources.locations import without_password

    assert settings.mlflow_tracking_uri is not None  # noqa: S101 - for mypy: it is known by now
    uri = settings.mlflow_tracking_uri.get_secret_value()
    if uri.startswith("http"):
        return without_password(uri)
    return f"http://127.0.0.1:{settings.stack.mlflow_port}"  # where `bookrec up` shows them


def _confirm(question: str) -> None:
    if not sys.stdin.isatty():
        raise ConfigurationError("no terminal to ask on: give --yes")
    typer.confirm(question, abort=True, err=True)


def _make_champion(
    to: int | None, action: "Action", reason: str, *, force: bool, as_json: bool
) -> None:
    from pipelines.registry import MlflowRegistry
    from pipelines.release.rollback import roll_back
    from pipelines.storage.services import running_services

    with running_services(get_settings(), redis=False) as settings:
        registry = MlflowRegistry.from_settings(settings)
        who = f"cli:{whoami()}"
        move = roll_back(settings, registry, to, who=who, why=reason, force=force, action=action)
    if as_json:
        print_json(asdict(move))
    else:
        instead = "" if move.from_version is None else f", instead of {move.from_version}"
        console.print(f"Version {move.to_version} is champion{instead}.")


def _history(moves: "list[AliasMove]") -> Table:
    table = Table("When", "From", "To", "By", "Who", "Why")
    for m in moves:
        came_from = "" if m.from_version is None else str(m.from_version)
        when = f"{m.moved_at:%Y-%m-%d %H:%M:%S}" if m.moved_at else "[yellow]not finished[/]"
        table.add_row(when, came_from, str(m.to_version), m.action, escape(m.who), escape(m.why))
    return table
