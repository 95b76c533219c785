"""What the DAGs share: how a stage becomes a task, and what happens when one fails."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import structlog
from airflow.sdk import Asset, Param, get_current_context, task
from airflow.sdk.exceptions import AirflowFailException

from pipelines.stages import STAGES

if TYPE_CHECKING:
    from pipelines.stages.run_context import RunContext

log = structlog.get_logger()

CHAMPION = Asset(name="bookrec_champion", uri="bookrec://champion")
"""Updated after each decision of the gate; its extra tells the version and the verdict."""
BATCH = Asset(name="bookrec_batch", uri="bookrec://batch")
"""Updated after each batch that was loaded; its extra tells the library and how much changed."""


EXAMINING = ("ingest", "validate", "clean", "profile")
"""The stages that read a batch and find out what it is worth, in their order."""


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
        "library": Param(None, type=["null", "string"], description="The library's name"),
        "seed": Param(42, type="integer", minimum=0, description=seed),
    }


def stage_task(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """`@task` for a function named after a stage that needs more, documented by the stage."""

    def decorate(function: Callable[..., Any]) -> Any:
        return task(doc_md=STAGES[function.__name__], **options)(function)

    return decorate


def run_stage(stage: str, *part: str, run_prefix: str = "", **params: Any) -> dict[str, Any]:
    """
    Run a stage for the DAG run that this task belongs to; gives its summary.

    Args:
        stage: Its name.
        part: The model, for the mapped stage.
        run_prefix: See `context_of`.
        params: What the run is told besides its own parameters.
    """
    from pipelines.stages.pipeline import execute

    with failing_at_once():
        return execute(stage, context_of(run_prefix, **params), *part)


def stage_tasks(*stages: str, run: Callable[[str], dict[str, Any]] = run_stage) -> list[Any]:
    """Tasks that do no more than `run` their stage, one each, in no order yet."""

    def task_of(stage: str) -> Any:
        @task(task_id=stage, doc_md=STAGES[stage])
        def plain() -> dict[str, Any]:
            return run(stage)

        return plain()

    return [task_of(stage) for stage in stages]


@contextmanager
def failing_at_once() -> Iterator[None]:
    """
    No retries where they are useless.

    Raises:
        AirflowFailException: the cause will not go away by itself.
    """
    from pipelines.errors import ConfigurationError, DataError, ModelError, ReleaseError

    try:
        yield
    except (ConfigurationError, DataError, ModelError, ReleaseError) as error:
        raise AirflowFailException(str(error)) from error


def context_of(run_prefix: str, **params: Any) -> "RunContext":
    """
    The context of the DAG run that this task belongs to.

    Runs of two DAGs that start at the same minute have the same id in Airflow: all DAGs but one
    need a prefix, by which their run folders differ.
    """
    from pipelines.run_params import RunParams
    from pipelines.settings import get_settings
    from pipelines.stages.run_context import RunContext, run_id_of

    context = get_current_context()
    airflow_run = context["dag_run"].run_id
    known = {k: v for k, v in context["params"].items() if k in RunParams.model_fields}
    run_id = run_id_of(run_prefix + airflow_run)
    told = known | params
    return RunContext.opened(run_id, told, get_settings(), orchestrator_run=airflow_run)
