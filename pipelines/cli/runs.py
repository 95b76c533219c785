"""`bookrec run`: the whole pipeline without Airflow."""

from typing import Annotated

import typer

from pipelines.cli.output import AsJson, console, print_json, progress_console
from pipelines.progress import report_stage
from pipelines.settings import get_settings


def run(
    source: Annotated[str, typer.Option(help="What to read: see the README.")] = "sample",
    data: Annotated[str | None, typer.Option(help="Its file or folder, or an address.")] = None,
    source_option: Annotated[
        list[str] | None,
        typer.Option(help="What it is told besides, like delimiter=;"),
    ] = None,
    library: Annotated[
        str | None, typer.Option(help="The library's name; where the data lie, if left out.")
    ] = None,
    run_id: Annotated[str | None, typer.Option(help="Name the run, or continue that one.")] = None,
    seed: Annotated[int, typer.Option(min=0)] = 42,
    as_json: AsJson = False,
) -> None:
    """Train, judge, register and promote a model; the stages that Airflow runs, in one process."""
    from pipelines.data.sources.locations import absolute, parsed_options
    from pipelines.stages.pipeline import run_pipeline
    from pipelines.stages.run_context import RunContext, RunParams
    from pipelines.storage.artifacts import new_run_id
    from pipelines.storage.services import running_services

    params = RunParams(
        source=source,
        data_path=absolute(data) if data else None,
        source_options=parsed_options(source_option or ()),
        library=library,
        seed=seed,
    )
    with running_services(get_settings(), redis=False) as settings:
        ctx = RunContext(run_id or new_run_id(), params, settings)
        watcher = progress_console if as_json else console
        watcher.print(f"Run {ctx.run_id} in {ctx.folder.path}", soft_wrap=True)
        told = run_pipeline(
            ctx,
            lambda address, summary, seconds, reused: report_stage(
                watcher, address, summary, seconds, reused=reused
            ),
        )
    if as_json:
        print_json({"run_id": ctx.run_id, "stages": told})
    else:
        console.print(f"Data Docs: {told['validate']['report']}", soft_wrap=True)
        console.print(f"Data quality: {told['profile']['report']}", soft_wrap=True)
        console.print(f"Evaluation: {told['evaluate']['report']}", soft_wrap=True)
