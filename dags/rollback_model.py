"""
Roll the model back.

Started by hand: makes another version champion, the one before or the one that `to_version` names,
after it has passed the checks that the service makes. Services follow at once, and the asset
`bookrec_champion` has `warm_cache` fill the cache. `bookrec rollback` does the same without
Airflow; `bookrec models history` tells what was done. A task that failed is not tried again by
itself: start the DAG once more, and what was begun is finished.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import Param, dag, get_current_context, task

from dags.common import CHAMPION, DEFAULTS, failing_at_once


@dag(
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(minutes=30),
    # Repeated after it was done it would go back one version more.
    default_args=DEFAULTS | {"retries": 0},
    doc_md=__doc__,
    tags=["bookrec", "serving"],
    params={
        "to_version": Param(
            None,
            type=["null", "integer"],
            minimum=1,
            description="Which version; if empty, the champion before this one",
        ),
        "reason": Param(type="string", minLength=1, description="For those who read the history"),
    },
)
def rollback_model() -> None:
    @task(outlets=[CHAMPION], doc_md="Make another version champion.")
    def rollback(*, params: Any = None, outlet_events: Any = None) -> dict[str, Any]:
        from pipelines.registry import MlflowRegistry
        from pipelines.release.rollback import roll_back
        from pipelines.settings import get_settings

        settings = get_settings()
        who = f"airflow:{get_current_context()['dag_run'].run_id}"
        registry = MlflowRegistry.from_settings(settings)
        with failing_at_once():
            move = roll_back(
                settings, registry, params["to_version"], who=who, why=params["reason"]
            )
        told = {"version": move.to_version, "from_version": move.from_version}
        outlet_events[CHAMPION].extra = told
        return told

    rollback()


rollback_model()
