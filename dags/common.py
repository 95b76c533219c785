"""What the DAGs share: how a stage becomes a task, and what happens when one fails."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import structlog
from airflow.sdk import Asset, Param, get_current_context, task
from airflow.sdk.exceptions import AirflowFailException

from pipelines.stages import STAGES

log = structlog.get_logger()

CHAMPION = Asset(name="bookrec_champion", uri="bookrec://champion")
"""Updated after each decision of the gate; its extra tells the version and the verdict."""


def report_failure(context: dict[str, Any]) -> None:
    """One line for whoever watches the logs."""
    ti = context["task_instance"]
    cause = str(context.get("exception"))
    log.error("task_failed", dag=ti.dag_id, task=ti.task_id, run=ti.run_id, cause=cause)


DEFAULTS: dict[str, Any] = {
    "owner": "bookrec",
    "retries": 2,
    "retry_delay": timedelta(seconds=30),
    "retry_exponential_backoff": True,
    "max_retry_delay": timedelta(minutes=10),
    "execution_timeout": timedelta(hours=2),
    "on_failure_callback": report_failure,
}


def reading_params(*, seed: str) -> dict[str, Param]:
    """Params that say what a run reads; `seed` tells what the seed does there."""
    return {
        "source": Param(
            None,
            type=["null", "string"],
            description="Name of a source; if empty, what the champion was made from",
        ),
        "data_path": Param(None, type=["null", "string"], description="Its file or folder"),
        "source_options": Param({}, type="object", description='Such as {"delimiter": ";"}'),
        "seed": Param(42, type="integer", minimum=0, description=seed),
    }


def stage_task(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """`@task` for a function named after a stage, documented by the stage."""

    def decorate(function: Callable[..., Any]) -> Any:
        return task(doc_md=STAGES[function.__name__], **options)(function)

    return decorate


def run_stage(stage: str, *part: str, run_prefix: str = "") -> dict[str, Any]:
    """
    Run a stage for the DAG run that this task belongs to; gives its summary.

    Runs of two DAGs that start at the same minute have the same id in Airflow: all DAGs but one
    need a prefix, by which their run folders differ.

    Raises:
        AirflowFailException: the cause will not go away by itself, so retrying is useless.
    """
    from pipelines.errors import ConfigurationError, DataError, ModelError

    context = get_current_context()
    try:
        run = context["dag_run"].run_id
        return _execute(stage, part, run, run_prefix, dict(context["params"]))
    except (ConfigurationError, DataError, ModelError) as error:
        raise AirflowFailException(str(error)) from error


def _execute(
    stage: str, part: tuple[str, ...], airflow_run: str, prefix: str, params: dict[str, Any]
) -> dict[str, Any]:
    from pipelines.settings import get_settings
    from pipelines.stages.pipeline import execute
    from pipelines.stages.run_context import RunContext, run_id_of

    run_id = run_id_of(prefix + airflow_run)
    ctx = RunContext.opened(run_id, params, get_settings(), orchestrator_run=airflow_run)
    return execute(stage, ctx, *part)
