"""
Warm the cache.

Runs when the asset `bookrec_champion` changes, whoever changed it: asks the service to fill Redis
for the champion. `retrain_recommender` warms as its last task already; this one is for a promotion
or a rollback made by hand. The service joins a second request to the warm-up that is running.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import dag, task

from dags.common import CHAMPION, DEFAULTS


@dag(
    schedule=[CHAMPION],
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(hours=1),
    default_args=DEFAULTS,
    doc_md=__doc__,
    tags=["bookrec", "serving"],
)
def warm_cache() -> None:
    @task(inlets=[CHAMPION], doc_md="Ask the service to warm the champion's recommendations.")
    def warm() -> dict[str, Any]:
        from pipelines.settings import get_settings
        from pipelines.stages.warm_cache import warm_champion

        return warm_champion(get_settings().api)

    warm()


warm_cache()
