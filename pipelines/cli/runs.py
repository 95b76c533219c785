"""`bookrec run` and `bookrec load`: stages without Airflow."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from pipelines.cli.output import AsJson, console, print_json, progress_console
from pipelines.progress import report_pages, report_stage
from pipelines.settings import get_settings

if TYPE_CHECKING:
    from pipelines.run_params import RunParams
    from pipelines.stages.run_context import RunContext

Data = Annotated[str | None, typer.Option(help="Its file or folder, or an address.")]
SourceOption = Annotated[
    list[str] | None, typer.Option(help="What it is told besides, like delimiter=;")
]
Library = Annotated[
    str | None, typer.Option(help="The library's name; where the data lie, if left out.")
]
RunId = Annotated[str | None, typer.Option(help="Name the run, or continue that one.")]


def run(
    source: Annotated[str, typer.Option(help="What to read: see the README.")] = "sample",
    data: Data = None,
    source_option: SourceOption = None,
    library: Library = None,
    run_id: RunId = None,
    seed: Annotated[int, typer.Option(min=0)] = 42,
    as_json: AsJson = False,
) -> None:
    """Train, judge, register and promote a model; the stages that Airflow runs, in one process."""
    from pipelines.storage.services import running_services

    params = _params(source, data, source_option, library, seed=seed)
    with running_services(get_settings(), redis=False) as settings:
        ctx = _context(run_id, params, settings)
        told = _run(ctx, as_json=as_json)
    if as_json:
        print_json({"run_id": ctx.run_id, "stages": told})
    else:
        report_pages(console, told)


def load(
    source: Annotated[str, typer.Option(help="What to read: see the README.")] = "interactions",
    data: Data = None,
    source_option: SourceOption = None,
    library: Library = None,
    run_id: RunId = None,
    again: Annotated[
        bool, typer.Option("--again", help="Read it even if it was loaded before.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Add a batch to a library, or begin one; what changed is stored, and nothing is trained."""
    from pipelines.stages import LOADED
    from pipelines.stages.loading import nothing_new
    from pipelines.storage.services import running_services

    params = _params(source, data, source_option, library, mode="addition")
    with running_services(get_settings(), redis=False) as settings:
        ctx = _context(run_id, params, settings)
        reason = "" if again else nothing_new(ctx)
        told = {} if reason else _run(ctx, as_json=as_json, last=LOADED)
    if as_json:
        print_json({"run_id": ctx.run_id, "skipped": reason or None, "stages": told})
    elif reason:
        console.print(reason[0].upper() + reason[1:] + ".", soft_wrap=True, markup=False)
    else:
        console.print(f"Data quality: {told['profile']['report']}", soft_wrap=True)


def _params(
    source: str,
    data: str | None,
    options: Sequence[str] | None,
    library: str | None,
    *,
    seed: int = 42,
    mode: Literal["full", "addition"] = "full",
) -> "RunParams":
    from pipelines.data.sources.locations import parsed_options
    from pipelines.run_params import RunParams, located

    return RunParams(
        source=source,
        data_path=located(source, data),
        source_options=parsed_options(options or ()),
        library=library,
        mode=mode,
        seed=seed,
    )


def _context(run_id: str | None, params: "RunParams", settings: Any) -> "RunContext":
    from pipelines.stages.run_context import RunContext
    from pipelines.storage.artifacts import new_run_id

    return RunContext(run_id or new_run_id(), params, settings)


def _run(ctx: "RunContext", *, as_json: bool, last: str | None = None) -> dict[str, Any]:
    from pipelines.stages.pipeline import run_pipeline

    watcher = progress_console if as_json else console
    watcher.print(f"Run {ctx.run_id} in {ctx.folder.path}", soft_wrap=True)

    def report(address: str, summary: dict[str, Any], seconds: float, reused: bool) -> None:
        report_stage(watcher, address, summary, seconds, reused=reused)

    return run_pipeline(ctx, report, last=last)
