"""
Load feedback.

What readers told the service since the last time becomes part of the library that the champion was
trained on: this DAG only looks which one that is, and starts `load_batch` with the source
`feedback`. Without a champion there is nothing to load.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import dag, task

from dags.common import DEFAULTS
from pipelines.settings import get_settings

log = structlog.get_logger()


@dag(
    schedule=get_settings().loading.feedback_schedule,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(minutes=10),
    default_args=DEFAULTS,
    doc_md=__doc__,
    render_template_as_native_obj=True,
    tags=["bookrec", "data"],
)
def load_feedback() -> None:
    @task.short_circuit(doc_md="Which library the champion's readers are of; skip without one.")
    def library() -> dict[str, Any]:
        from pipelines.stages.loading import followed_library

        found = followed_library(get_settings())
        log.info("library_followed", library=found)
        return {"source": "feedback", "library": found} if found else {}

    chosen: Any = library()
    load = TriggerDagRunOperator(
        task_id="load",
        trigger_dag_id="load_batch",
        conf="{{ ti.xcom_pull(task_ids='library') }}",  # type: ignore[arg-type] # rendered to one
        doc_md="Start `load_batch`, which skips itself where nothing is new.",
    )
    chosen >> load


load_feedback()
