"""
Report on the data, between two trainings.

Reads what an unattended training would read, and ends with the report on it:

`ingest → validate → clean → profile`

The batch is compared with the one that was stored last. It is not stored itself, whatever its
verdict: what models learn from, and what later batches are compared with, stays as it is.
"""

from datetime import UTC, datetime, timedelta
from functools import partial

from airflow.sdk import chain, dag

from dags.common import DEFAULTS, EXAMINING, reading_params, run_stage, stage_tasks
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
    params=reading_params(seed="Of the bundled sample"),
)
def data_quality_report() -> None:
    chain(*stage_tasks(*EXAMINING, run=run))


data_quality_report()
