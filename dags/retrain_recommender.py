"""
Retrain the recommender.

Raw ratings in, a registered hybrid model out, its recommendations in Redis:

`ingest → validate → clean → profile → store → preprocess → train (once a model) → blend →
evaluate → register → promote → warm_cache`

Each task runs the stage of the same name from `pipelines.stages`; `bookrec run` runs the same
stages without Airflow. Between tasks go run ids and numbers, never data: that lies in the run's
folder. A batch that breaks a critical expectation ends at `validate`, and one that scores too low
or has drifted too far at `store`; a challenger that the gate refuses ends at `promote`, with its
reasons, and the old champion stays.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import Param, dag

from dags.common import CHAMPION, DEFAULTS, run_stage, stage_task
from pipelines.settings import get_settings

settings = get_settings()


@dag(
    schedule=settings.schedule,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(hours=6),
    default_args=DEFAULTS,
    doc_md=__doc__,
    tags=["bookrec", "training"],
    params={
        "source": Param(
            None,
            type=["null", "string"],
            description="Name of a source; if empty, what the champion was made from",
        ),
        "data_path": Param(None, type=["null", "string"], description="Its file or folder"),
        "source_options": Param({}, type="object", description='Such as {"delimiter": ";"}'),
        "library": Param(None, type=["null", "string"], description="The library's name"),
        "seed": Param(42, type="integer", minimum=0, description="The same seed, the same model"),
    },
)
def retrain_recommender() -> None:  # noqa: C901 - one task a stage, and nothing else
    @stage_task()
    def ingest() -> dict[str, Any]:
        return run_stage("ingest")

    @stage_task()
    def validate() -> dict[str, Any]:
        return run_stage("validate")

    @stage_task()
    def clean() -> dict[str, Any]:
        return run_stage("clean")

    @stage_task()
    def profile() -> dict[str, Any]:
        return run_stage("profile")

    @stage_task()
    def store() -> dict[str, Any]:
        return run_stage("store")

    @stage_task()
    def preprocess() -> dict[str, Any]:
        return run_stage("preprocess")

    @stage_task(map_index_template="{{ task.op_kwargs['model'] }}")
    def train(model: str) -> dict[str, Any]:
        return run_stage("train", model)

    @stage_task()
    def blend() -> dict[str, Any]:
        return run_stage("blend")

    @stage_task()
    def evaluate() -> dict[str, Any]:
        return run_stage("evaluate")

    @stage_task()
    def register() -> dict[str, Any]:
        return run_stage("register")

    @stage_task(outlets=[CHAMPION])
    def promote(*, outlet_events: Any) -> dict[str, Any]:
        told = run_stage("promote")
        outlet_events[CHAMPION].extra = {k: told[k] for k in ("version", "accepted")}
        return told

    @stage_task()
    def warm_cache() -> dict[str, Any]:
        return run_stage("warm_cache")

    trained = train.expand(model=list(settings.models))
    ingest() >> validate() >> clean() >> profile() >> store() >> preprocess() >> trained
    trained >> blend() >> evaluate() >> register() >> promote() >> warm_cache()


retrain_recommender()
