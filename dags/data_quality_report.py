"""
Report on the data, between two trainings.

Reads what an unattended training would read, and ends with the report on it:

`ingest → validate → clean → profile`

The batch is compared with the one that was stored last. It is not stored itself, whatever its
verdict: what models learn from, and what later batches are compared with, stays as it is.
"""

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from airflow.sdk import Param, dag

from dags.common import DEFAULTS, run_stage, stage_task
from pipelines.settings import get_settings

run = partial(run_stage, run_prefix="data-quality-")


@dag(
    schedule=get_settings().quality.schedule,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(hours=2),
    default_args=DEFAULTS,
    doc_md=__doc__,
    tags=["bookrec", "data"],
    params={
        "source": Param(
            None,
            type=["null", "string"],
            description="Name of a source; if empty, what the champion was made from",
        ),
        "data_path": Param(None, type=["null", "string"], description="Its file or folder"),
        "source_options": Param({}, type="object", description='Such as {"delimiter": ";"}'),
        "library": Param(None, type=["null", "string"], description="The library's name"),
        "seed": Param(42, type="integer", minimum=0, description="Of the bundled sample"),
    },
)
def data_quality_report() -> None:
    @stage_task()
    def ingest() -> dict[str, Any]:
        return run("ingest")

    @stage_task()
    def validate() -> dict[str, Any]:
        return run("validate")

    @stage_task()
    def clean() -> dict[str, Any]:
        return run("clean")

    @stage_task()
    def profile() -> dict[str, Any]:
        return run("profile")

    ingest() >> validate() >> clean() >> profile()


data_quality_report()
