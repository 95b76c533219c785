"""
Retrain the recommender.

Raw ratings in, a registered hybrid model out, its recommendations in Redis:

`decide → ingest → validate → clean → profile → store → preprocess → train (once a model) → blend →
evaluate → register → promote → warm_cache`

Each task runs the stage of the same name from `pipelines.stages`; `bookrec run` runs the same
stages without Airflow. Between tasks go run ids and numbers, never data: that lies in the run's
folder. A batch that breaks a critical expectation ends at `validate`, and one that scores too low
or has drifted too far at `store`; a challenger that the gate refuses ends at `promote`, with its
reasons, and the old champion stays.

Besides its schedule the asset `bookrec_batch` starts it: a batch that `load_batch` has stored. Then
it trains from what PostgreSQL holds of that library, if enough of it has changed since the champion
learnt (`BOOKREC_LOADING__RETRAIN_SHARE`); else `decide` says why not, and skips all other tasks.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from airflow.sdk import DAG, AssetOrTimeSchedule, chain, dag, task

from dags.common import (
    BATCH,
    CHAMPION,
    DEFAULTS,
    failing_at_once,
    reading_params,
    run_stage,
    stage_task,
    stage_tasks,
)
from pipelines.settings import get_settings

log = structlog.get_logger()
settings = get_settings()


def schedule() -> Any:
    """By the clock, unless that is `never`, and after a batch."""
    if settings.schedule is None:
        return [BATCH]
    # What Airflow itself makes of an expression or a preset, `@once` and `@continuous` too; its
    # annotation allows for timetables of plugins, which no string names.
    clock = DAG("clock", schedule=settings.schedule, max_active_runs=1).timetable
    return AssetOrTimeSchedule(timetable=clock, assets=[BATCH])  # type: ignore[arg-type]


@dag(
    schedule=schedule(),
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(hours=6),
    default_args=DEFAULTS,
    doc_md=__doc__,
    tags=["bookrec", "training"],
    params=reading_params(seed="The same seed, the same model"),
)
def retrain_recommender() -> None:
    @task.short_circuit(doc_md="Skip the run where a batch started it that changed too little.")
    def decide(*, triggering_asset_events: Any = None, ti: Any = None) -> dict[str, Any]:
        from pipelines.stages.loading import training_after

        batches = triggering_asset_events.get(BATCH, [])
        with failing_at_once():
            found = training_after(get_settings(), [batch.extra["library"] for batch in batches])
        log.info("training_decided", wanted=found.wanted, reason=found.reason)
        ti.xcom_push(key="reason", value=found.reason)
        return {"params": found.params} if found.wanted else {}

    @stage_task()
    def ingest(decided: dict[str, Any]) -> dict[str, Any]:
        return run_stage("ingest", **decided["params"])

    @stage_task(map_index_template="{{ task.op_kwargs['model'] }}")
    def train(model: str) -> dict[str, Any]:
        return run_stage("train", model)

    @stage_task(outlets=[CHAMPION])
    def promote(*, outlet_events: Any) -> dict[str, Any]:
        told = run_stage("promote")
        outlet_events[CHAMPION].extra = {k: told[k] for k in ("version", "accepted")}
        return told

    trained = train.expand(model=list(settings.models))
    chain(
        ingest(decide()),
        *stage_tasks("validate", "clean", "profile", "store", "preprocess"),
        trained,
        *stage_tasks("blend", "evaluate", "register"),
        promote(),
        *stage_tasks("warm_cache"),
    )


retrain_recommender()
