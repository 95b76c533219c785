"""`bookrec backup`, `backups`, `restore` and `prune`: what an installation is kept alive by."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from pipelines.cli.output import AsJson, console, print_json, progress_console
from pipelines.settings import get_settings

if TYPE_CHECKING:
    from pipelines.maintenance.backups import Backup
    from pipelines.maintenance.prune import Pruned
    from pipelines.maintenance.restore import Restored


def backup(as_json: AsJson = False) -> None:
    """Back up databases, registered models and the configuration; the oldest backups go."""
    from pipelines.maintenance.backups import back_up
    from pipelines.storage.services import running_services

    with running_services(get_settings(), redis=False) as settings:
        made = back_up(settings)
    if as_json:
        print_json(_told(made))
    else:
        console.print(
            f"Backup {made.name}: {', '.join(made.databases)} and {len(made.files)} files, "
            f"{_size(made.size)}, in {settings.storage_root}/backups",
            soft_wrap=True,
        )


def backups(as_json: AsJson = False) -> None:
    """What there is to restore, newest first."""
    from pipelines.maintenance import backups as kept

    found = kept.backups(get_settings())
    if as_json:
        print_json([_told(one) for one in found])
        return
    table = Table("Backup", "Databases", "Files", "Size")
    for one in found:
        table.add_row(one.name, ", ".join(one.databases), f"{len(one.files):,}", _size(one.size))
    console.print(table if found else "No backup yet: make one (`bookrec backup`).")


def restore(
    backup: Annotated[
        str, typer.Argument(help="Its name, as `bookrec backups` lists it; or latest.")
    ],
    yes: Annotated[
        bool, typer.Option("--yes", help="Also in the place of a library that is there.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Restore a backup into an empty or broken home; readers erased since are erased again."""
    from pipelines.maintenance import restore as restoring

    done = restoring.restore(get_settings(), backup, overwrite=yes)
    if as_json:
        print_json(_told_of(done))
    else:
        _show(done)
    if done.problems:
        raise typer.Exit(1)


def prune(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what would go.")] = False,
    as_json: AsJson = False,
) -> None:
    """Remove expired runs, model versions, caches and logs; never what a rollback needs."""
    from pipelines.maintenance import prune as pruning
    from pipelines.storage.services import running_services

    with running_services(get_settings(), redis=False) as settings:
        done = pruning.prune(settings, dry_run=dry_run)
    if as_json:
        removed = [{"kind": e.kind, "name": e.name, "size": e.size} for e in done.removed]
        print_json({"dry_run": dry_run, "removed": removed, "problems": done.problems})
    else:
        _show_pruned(done, "Would go" if dry_run else "Removed")
    if done.problems:
        raise typer.Exit(1)


def _show_pruned(done: "Pruned", title: str) -> None:
    table = Table(title, "Which", "Size")
    for one in done.removed:
        table.add_row(one.kind, escape(one.name), _size(one.size))
    console.print(table if done.removed else "Nothing has expired.")
    for problem in done.problems:
        progress_console.print(f"[red]not done:[/] {escape(problem)}", soft_wrap=True)


def _show(done: "Restored") -> None:
    console.print(
        f"Backup {done.backup.name} is restored. What was written in the {_time(done)} since is "
        "not there any more.",
        soft_wrap=True,
    )
    if done.erased_again:
        console.print(f"{done.erased_again} readers were erased since, and are erased again.")
    for problem in done.problems:
        progress_console.print(f"[red]not done:[/] {escape(problem)}", soft_wrap=True)
    if done.problems:
        progress_console.print("Put that right, and restore again.")


def _told_of(done: "Restored") -> dict[str, Any]:
    return {
        "backup": _told(done.backup),
        "lost_seconds": done.lost.total_seconds(),
        "erased_again": done.erased_again,
        "problems": done.problems,
    }


def _told(backup: "Backup") -> dict[str, Any]:
    """Without the checksums of every file."""
    return {**asdict(backup), "files": len(backup.files)}


def _time(done: "Restored") -> str:
    return str(done.lost).partition(".")[0]


def _size(count: int) -> str:
    return f"{count / 1e6:,.1f} MB"
