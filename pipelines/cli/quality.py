"""`bookrec quality`: what is known of the data that came in."""

from dataclasses import asdict
from itertools import groupby
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from pipelines.cli.output import AsJson, console, print_json
from pipelines.settings import get_settings

if TYPE_CHECKING:
    from pipelines.storage.profiles import BatchProfile

PARTS = {
    "completeness": "Complete",
    "validity": "Valid",
    "uniqueness": "Unique",
    "consistency": "Linked",
    "freshness": "Fresh",
    "stability": "Stable",
}
"""Headings of the parts of the score."""


def quality(
    n: Annotated[int, typer.Option("-n", "--n", min=1, help="How many of each dataset.")] = 5,
    as_json: AsJson = False,
) -> None:
    """The last batches of each dataset: their quality score, its parts, drift and the verdict."""
    from pipelines.storage.profiles import ProfileRepository
    from pipelines.storage.services import running_services
    from pipelines.storage.unit_of_work import unit_of_work

    with (
        running_services(get_settings(), redis=False) as settings,
        unit_of_work(settings.known_database_url) as session,
    ):
        profiles = ProfileRepository(session).latest(n)
    if as_json:
        print_json([_document(profile) for profile in profiles])
        return
    if not profiles:
        console.print("No batch yet: run the pipeline first (`bookrec run`).")
    for dataset, batches in groupby(profiles, key=lambda profile: profile.dataset):
        newest_first = list(batches)
        console.print(_table(dataset, newest_first))
        report = newest_first[0].quality["report"]
        console.print(f"Report on the newest: {report}", soft_wrap=True, markup=False)


def _document(found: "BatchProfile") -> dict[str, Any]:
    """All but the profile itself, which is for machines that compare."""
    document = asdict(found)
    del document["profile"]
    return document | document.pop("quality")


def _table(dataset: str, batches: "list[BatchProfile]") -> Table:
    headings = ("Made", "Score", *PARTS.values(), "Moved", "Verdict")
    table = Table(
        title=escape(dataset), title_justify="left", box=None, pad_edge=False, padding=(0, 1, 0, 0)
    )
    for heading in headings:
        table.add_column(heading, no_wrap=heading != "Moved")
    for found in batches:
        parts = found.quality["parts"]
        shares = [f"{100 * parts[name]:.0f}" if name in parts else "-" for name in PARTS]
        made, score = f"{found.made_at:%Y-%m-%d %H:%M}", f"{found.score:.1f}"
        table.add_row(made, score, *shares, _drift(found.quality["drift"]), _verdict(found))
    return table


def _drift(drift: dict[str, Any] | None) -> str:
    if drift is None:
        return "-"
    moved = [f"{c['column']} {c['psi']:.2f}" for c in drift["columns"] if c["level"] != "steady"]
    return ", ".join(moved) or "none"


def _verdict(found: "BatchProfile") -> str:
    if not found.accepted:
        return "[red]refused[/]"
    return "[green]stored[/]" if found.stored_at else "[green]accepted[/]"
