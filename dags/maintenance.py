"""
Look after the installation.

Backs up the databases, the registered models and the configuration, and then removes what has
expired: runs with their quarantine and Data Docs, versions of models that nothing needs, caches,
task logs, and logs that have grown. `bookrec backup` and `bookrec prune` do the same without
Airflow; `BOOKREC_MAINTENANCE__…` says what is kept.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import dag, task

from dags.common import DEFAULTS, failing_at_once
from pipelines.settings import get_settings


@dag(
    schedule=get_settings().maintenance.schedule,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(hours=6),
    default_args=DEFAULTS,
    doc_md=__doc__,
    tags=["bookrec", "maintenance"],
)
def maintenance() -> None:
    @task(doc_md="Make a backup; the oldest go, beyond those that are kept.")
    def backup() -> dict[str, Any]:
        from pipelines.maintenance.backups import back_up

        with failing_at_once():
            made = back_up(get_settings())
        return {"name": made.name, "databases": list(made.databases), "bytes": made.size}

    @task(doc_md="Remove what has expired.")
    def prune() -> dict[str, Any]:
        from pipelines.maintenance import prune as pruning

        with failing_at_once():
            done = pruning.prune(get_settings())
        return {"removed": len(done.removed), "problems": done.problems}

    backup() >> prune()


maintenance()
