"""`bookrec data`: fetch public data sets."""

from pathlib import Path
from typing import Annotated

import typer
from rich.progress import Progress, TaskID

from pipelines.cli.output import AsJson, console, print_json, progress_console

app = typer.Typer(help="Fetch public data sets.", no_args_is_help=True)


@app.command()
def download(
    dataset: Annotated[str, typer.Argument(help="goodbooks-10k")],
    target: Annotated[Path | None, typer.Option(help="The folder to fill.")] = None,
    as_json: AsJson = False,
) -> None:
    """Fetch a public release, checked by its checksums; an interrupted download goes on."""
    from pipelines.data.sources.download import download_goodbooks
    from pipelines.errors import ConfigurationError

    if dataset != "goodbooks-10k":
        raise ConfigurationError(f"there is no data set {dataset!r} to fetch: try goodbooks-10k")
    folder = target or Path(dataset)
    with Progress(console=progress_console) as progress:
        tasks: dict[str, TaskID] = {}

        def show(name: str, done: int, total: int | None) -> None:
            if name not in tasks:
                tasks[name] = progress.add_task(name, total=total)
            progress.update(tasks[name], completed=done)

        download_goodbooks(folder, on_progress=show)
    if as_json:
        print_json({"dataset": dataset, "folder": str(folder)})
    else:
        console.print(f"{folder} is complete: `bookrec run --source {dataset} --data {folder}`")
