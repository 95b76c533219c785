"""Runs of the real pipeline in a home that is thrown away."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from pipelines.progress import report_stage
from pipelines.run_params import RunParams
from pipelines.settings import Settings
from pipelines.stages.pipeline import execute, run_pipeline
from pipelines.stages.run_context import RunContext
from pipelines.storage.services import running_services

PREPARING = ("ingest", "validate", "clean", "preprocess")


@contextmanager
def temporary_run(source: str, data: Path | None) -> Iterator[RunContext]:
    """A run on servers of its own: your database and registry never hear of it."""
    with tempfile.TemporaryDirectory(prefix="bookrec-benchmark-") as folder:
        settings = Settings(
            home=Path(folder),
            storage_url=None,
            database_url=None,
            redis_url=None,
            mlflow_tracking_uri=None,
            mlflow_artifact_root=None,
        )
        params = RunParams(source=source, data_path=str(data.absolute()) if data else None)
        with running_services(settings, redis=False) as complete:
            yield RunContext("benchmark", params, complete)


def run_all(ctx: RunContext) -> None:
    """The whole pipeline, told about on stderr."""
    console = Console(stderr=True)
    run_pipeline(ctx, lambda *told: report_stage(console, *told[:3], reused=told[3]))


def prepared_dataset(ctx: RunContext) -> Path:
    """The folder of the dataset, without anything being trained."""
    for stage in PREPARING:
        execute(stage, ctx)
    return ctx.folder.reading("preprocess")
