"""`bookrec forget`: erase a reader."""

import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from pipelines.cli.acting import whoami
from pipelines.cli.output import AsJson, console, print_json, progress_console
from pipelines.errors import ConfigurationError
from pipelines.settings import Settings, get_settings

if TYPE_CHECKING:
    from pipelines.erasure.act import Told
    from pipelines.erasure.survey import Survey

WHAT = {
    "readers": "readers in PostgreSQL",
    "ratings": "ratings in PostgreSQL",
    "feedback": "feedback in PostgreSQL",
    "profiles": "profiles of batches",
    "models": "registered models",
    "run_files": "files of runs",
    "exported_rows": "rows of exports",
    "cached_lists": "lists in Redis",
}


def forget(
    user: Annotated[str, typer.Option(help="The reader's id, as the source writes it.")],
    library: Annotated[
        str | None, typer.Option(help="This one alone, as `bookrec quality` names it.")
    ] = None,
    reason: Annotated[
        str | None, typer.Option(help="Kept on record: must not say who it was.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    allow_again: Annotated[
        bool, typer.Option("--allow-again", help="Instead: let batches bring the reader again.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Erase a reader from PostgreSQL, models, runs, exports and caches; a record of it stays."""
    from pipelines.erasure.act import erase, lift
    from pipelines.erasure.survey import survey
    from pipelines.registry import MlflowRegistry
    from pipelines.storage.services import running_services

    if reason and user in reason:
        raise ConfigurationError("the reason is kept on record, so it must not hold the id")
    with running_services(get_settings()) as settings:
        if allow_again:
            lifted = lift(settings, user, library)
            _record(settings, "reader.allow_again", "done")
            _print_lifted(lifted, as_json)
            return
        registry = MlflowRegistry.from_settings(settings)
        found = survey(settings, registry, user, library)
        if found.libraries and not yes:
            _confirm(found)
        told = erase(settings, registry, found, reason=reason)
        _record(settings, "reader.erase", "failed" if told.problems else "done")
    _print(told, as_json)
    if told.problems:
        raise typer.Exit(1)


def _record(settings: Settings, action: str, outcome: str) -> None:
    """In the audit log, as the service does; not whom: nobody deletes from it."""
    from pipelines.storage.audit import Act, note

    act = Act(f"shell:{whoami()}", action, "reader")
    note(settings.known_database_url, act, outcome)


def _confirm(found: "Survey") -> None:
    if not sys.stdin.isatty():
        raise ConfigurationError("this cannot be undone: say so with --yes")
    table = Table("Library", "Rows", "Models", "Run folders", "Exports", title="To be erased")
    for library in found.libraries:
        table.add_row(
            escape(library),
            str(found.rows.get(library, Counter()).total()),
            _listed(v.version for v in found.versions.get(library, ())),
            _listed(copy.run_id for copy in found.runs.get(library, ())),
            _listed(export.path for export in found.exports.get(library, ())),
        )
    progress_console.print(table)
    typer.confirm("Lists in Redis go too. This cannot be undone. Go on?", abort=True, err=True)


def _listed(things: object) -> str:
    return escape(", ".join(dict.fromkeys(map(str, things)))) or "-"  # type: ignore[call-overload]


def _print(told: "Told", as_json: bool) -> None:
    if as_json:
        removed = {library: dict(counted) for library, counted in told.removed.items()}
        print_json(
            {
                "erasures": [asdict(erasure) for erasure in told.erasures],
                "removed": removed,
                "problems": told.problems,
            }
        )
        return
    for erasure in told.erasures:
        if (counted := told.removed.get(erasure.library)) is None:
            at = f"{erasure.completed_at:%Y-%m-%d %H:%M}"
            console.print(f"{escape(erasure.library)}: erased on {at}; nothing has come since.")
        else:
            console.print(_table(erasure.library, counted))
    if any(removed["models"] for removed in told.removed.values()):
        console.print(
            "What models have learnt of books from this reader stays in them until they are "
            "trained again: the versions are marked for it."
        )
    for problem in told.problems:
        progress_console.print(f"[red]not done:[/] {escape(problem)}", soft_wrap=True)
    if told.problems:
        progress_console.print("Run it again when that is put right.")


def _table(library: str, removed: Mapping[str, int]) -> Table:
    table = Table("Removed", "How many", title=escape(library), title_justify="left")
    for kind, what in WHAT.items():
        table.add_row(what, f"{removed.get(kind, 0):,}")
    return table


def _print_lifted(libraries: list[str], as_json: bool) -> None:
    if as_json:
        print_json({"allowed_again": libraries})
    else:
        listed = ", ".join(map(escape, libraries))
        console.print(f"Later batches may bring this reader again: {listed}")
