"""
Deliver webhooks.

Sends the events that are due: those that a stage could not send at once, and those whose receiver
did not take them. What fails is tried again later and, in the end, given up:
`bookrec webhooks deliveries --dead` lists that.
"""

from datetime import UTC, datetime, timedelta

from airflow.sdk import dag, task

from dags.common import DEFAULTS
from pipelines.settings import get_settings

SECONDS = 240.0
"""Less than from one run to the next, as they are scheduled by default."""


@dag(
    schedule=get_settings().webhooks.schedule,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(minutes=15),
    default_args=DEFAULTS,
    doc_md=__doc__,
    tags=["bookrec", "events"],
)
def deliver_webhooks() -> None:
    @task(doc_md="Send what is due.")
    def deliver() -> dict[str, int]:
        from pipelines.webhooks.delivery import Courier

        return Courier.of(get_settings()).deliver_due(SECONDS)

    deliver()


deliver_webhooks()
