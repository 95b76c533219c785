"""
Load a batch.

Adds to a library what a file, a folder or a table holds of it, and trains nothing:

`new → ingest → validate → clean → profile → store`

What was loaded before is skipped whole, and says so. A batch that breaks a critical expectation
ends at `validate`, one that the gate refuses at `store`; both leave the library as it was. A batch
that was stored updates the asset `bookrec_batch`, and `retrain_recommender` looks whether enough
has changed. `bookrec load` does the same without Airflow.
"""

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import structlog
from airflow.sdk import Param, chain, dag, task

from dags.common import (
    BATCH,
    DEFAULTS,
    EXAMINING,
    context_of,
    failing_at_once,
    run_stage,
    stage_task,
    stage_tasks,
)

log = structlog.get_logger()

PREFIX = "load-"
run = partial(run_stage, run_prefix=PREFIX, mode="addition")


@dag(
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(hours=2),
    default_args=DEFAULTS,
    doc_md=__doc__,
    tags=["bookrec", "data"],
    params={
        "source": Param("interactions", type="string", description="Name of a source"),
        "data_path": Param(None, type=["null", "string"], description="Its file or folder"),
        "source_options": Param({}, type="object", description='Such as {"delimiter": ";"}'),
        "library": Param(None, type=["null", "string"], description="The library to add to"),
        "again": Param(False, type="boolean", description="Load also what was loaded before"),
    },
)
def load_batch() -> None:
    @task.short_circuit(doc_md="Skip what was loaded before.")
    def new(*, params: Any = None, ti: Any = None) -> bool:
        from pipelines.stages.loading import nothing_new

        with failing_at_once():
            reason = "" if params["again"] else nothing_new(context_of(PREFIX, mode="addition"))
        ti.xcom_push(key="reason", value=reason)
        log.info("batch_looked_at", skipped=bool(reason), reason=reason)
        return not reason

    @stage_task(outlets=[BATCH])
    def store(*, outlet_events: Any) -> dict[str, Any]:
        told = run("store")
        outlet_events[BATCH].extra = {k: told[k] for k in ("library", "added", "changed", "total")}
        return told

    chain(new(), *stage_tasks(*EXAMINING, run=run), store())


load_batch()
