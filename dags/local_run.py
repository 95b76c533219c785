"""
`make run`: the whole DAG through Airflow, in one process, with a line for each task.

Everything it needs is started for the time of the run: the home's PostgreSQL and Redis where no
others are configured, and the service, so that the last task has someone to ask.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable
from typing import Any

import httpx
from rich.console import Console

from pipelines.data.sources.locations import parsed_options
from pipelines.errors import BookrecError, StageFailedError
from pipelines.processes import running, stop_on_sigterm
from pipelines.progress import recommendation_table, report_pages, report_stage
from pipelines.registry import CHAMPION, MlflowRegistry
from pipelines.run_params import located
from pipelines.settings import Settings, get_settings
from pipelines.stack import airflow_database, airflow_environment, api_program, free_port
from pipelines.stages import STAGES
from pipelines.storage.database import ensure_database
from pipelines.storage.services import environment, running_services

DAG_ID = "retrain_recommender"
METADATA = "airflow_local_run"
console = Console(highlight=False)


class TaskLines:
    """What Airflow's listener tells us: a line a task, the first failure, and the summaries."""

    def __init__(self, models: tuple[str, ...]) -> None:
        self._models = models
        self.told: dict[str, dict[str, Any]] = {}
        self.failure: tuple[str, str] | None = None

    def address(self, task_instance: Any) -> str:
        """The task's name, and the model where it is one of several."""
        if task_instance.map_index < 0:
            return str(task_instance.task_id)
        return f"{task_instance.task_id}/{self._models[task_instance.map_index]}"

    def succeeded(self, task_instance: Any) -> None:
        if task_instance.task_id not in STAGES:  # it decides about the run, and tells nothing here
            return
        told = task_instance.xcom_pull(
            task_ids=task_instance.task_id, map_indexes=task_instance.map_index
        )
        address = self.address(task_instance)
        self.told[address] = told
        report_stage(console, address, told, told["seconds"])

    def failed(self, task_instance: Any, error: BaseException | str | None) -> None:
        self.failure = self.failure or (self.address(task_instance), _one_line(error))


def main() -> int:
    """Run the DAG once; 0 if it succeeded, 1 with one line on stderr if not."""
    stop_on_sigterm()
    began = time.perf_counter()
    try:
        arguments = _arguments()
        with running_services(get_settings()) as settings:
            _run(settings, arguments, began)
    except (BookrecError, httpx.HTTPError) as error:
        print(f"bookrec: {error}", file=sys.stderr)  # noqa: T201 - the program's own last word
        return 1
    return 0


def _arguments() -> dict[str, Any]:
    settings = get_settings()
    parser = argparse.ArgumentParser(prog="python -m dags.local_run", description=__doc__)
    parser.add_argument("--source", default=settings.source or "sample")
    parser.add_argument("--data", dest="data_path", default=settings.data_path)
    parser.add_argument("--source-option", dest="source_options", action="append")
    parser.add_argument("--library", default=settings.library)
    parser.add_argument("--seed", type=int, default=42)
    arguments = parser.parse_args()
    given = arguments.source_options
    arguments.source_options = parsed_options(given) if given else settings.source_options
    arguments.data_path = located(arguments.source, arguments.data_path)
    return vars(arguments)


def _run(settings: Settings, params: dict[str, Any], began: float) -> None:
    # A port of its own: another stack may be listening on the configured one.
    here = {"host": "127.0.0.1", "port": free_port(), "base_url": None}
    api = settings.api.model_copy(update=here)
    own = settings.model_copy(update={"api": api})
    # Before the service looks into it: MLflow's first set-up must not be raced.
    MlflowRegistry.from_settings(own).prepare()
    with running(api_program(own), log_folder=settings.home / "logs") as wait_until_ready:
        lines, seconds = _run_dag(own, params, before_first_task=wait_until_ready)
        if lines.failure is not None:
            raise StageFailedError(*lines.failure)
        if lines.told["promote"]["promoted"]:
            _show(own)
    total = time.perf_counter() - began
    in_airflow = seconds - sum(told["seconds"] for told in lines.told.values())
    console.print(
        f"{total:.0f} s in all; Airflow took {in_airflow:.0f} s, {in_airflow / total:.0%}."
    )
    _show_addresses(settings, lines)


def _run_dag(
    settings: Settings, params: dict[str, Any], *, before_first_task: Callable[[], None]
) -> tuple[TaskLines, float]:
    """
    Run the DAG; what its tasks told, and the seconds from importing Airflow to the run's end.

    Airflow reads its environment when it is first imported, so that comes last. Its metadata lies
    in a database of its own: a scheduler that runs beside would take this run for its own.
    """
    ensure_database(airflow_database(settings, METADATA))
    os.environ |= environment(settings) | airflow_environment(settings, database=METADATA)
    os.environ["AIRFLOW__LOGGING__LOGGING_LEVEL"] = "CRITICAL"  # our lines are the progress
    get_settings.cache_clear()
    lines = TaskLines(settings.models)
    began = time.perf_counter()
    from airflow.dag_processing.dagbag import DagBag
    from airflow.settings import dispose_orm
    from airflow.utils import db

    try:
        db.initdb()
        _listen(lines)
        bag = DagBag(dag_folder=os.environ["AIRFLOW__CORE__DAGS_FOLDER"])
        prepared = time.perf_counter() - began
        before_first_task()
        began = time.perf_counter()
        run = bag.dags[DAG_ID].test(run_conf=params)
    finally:
        dispose_orm()  # its connections must not outlive the database
    if str(run.state) != "success" and lines.failure is None:
        lines.failure = (DAG_ID, f"the run ended as {run.state}")
    return lines, prepared + time.perf_counter() - began


def _listen(lines: TaskLines) -> None:
    from airflow.listeners import hookimpl
    from airflow.sdk.listener import get_listener_manager

    class Listener:
        @hookimpl
        def on_task_instance_success(self, previous_state: Any, task_instance: Any) -> None:  # noqa: ARG002 - Airflow's signature
            lines.succeeded(task_instance)

        @hookimpl
        def on_task_instance_failed(
            self,
            previous_state: Any,  # noqa: ARG002 - Airflow's signature
            task_instance: Any,
            error: BaseException | str | None,
        ) -> None:
            lines.failed(task_instance, error)

    get_listener_manager().add_listener(Listener())  # type: ignore[no-untyped-call]


def _example_reader(settings: Settings) -> int | str:
    from pipelines.champion import load_by_alias, most_active_reader

    registry = MlflowRegistry.from_settings(settings)
    bundle, _ = load_by_alias(registry, CHAMPION, settings.home / "models")
    return most_active_reader(bundle)


def _show(settings: Settings) -> None:
    """Ten recommendations for one reader, asked of the service over HTTP."""
    headers, base_url = settings.api.admin_headers, f"{settings.api.url}/api/v1"
    with httpx.Client(base_url=base_url, headers=headers, timeout=30) as client:
        current = client.get("/models/current").raise_for_status().json()
        user_id = _example_reader(settings)
        answer = client.get(f"/users/{user_id}/recommendations", params={"n": 10, "explain": True})
        served = answer.raise_for_status().json()
    title = (
        f"For reader {user_id}, from {settings.registered_model} version "
        f"{served['model_version']} ({served['source']})"
    )
    console.print()
    console.print(recommendation_table(title, served["items"]))
    metrics = ("ndcg_at_10", "recall_at_20", "coverage_at_10")
    told = ", ".join(f"{name} {float(current['tags'][name]):.4f}" for name in metrics)
    console.print(f"Champion: version {current['version']}; on held-out ratings {told}.")


def _show_addresses(settings: Settings, lines: TaskLines) -> None:
    report_pages(console, lines.told)
    console.print(
        f"`make up` serves the API at {settings.api.url}/docs, MLflow at "
        f"http://127.0.0.1:{settings.stack.mlflow_port} and Airflow at "
        f"http://127.0.0.1:{settings.stack.airflow_port}.",
        soft_wrap=True,
    )


def _one_line(error: BaseException | str | None) -> str:
    return next(iter(str(error).strip().splitlines()), "no reason was given")


if __name__ == "__main__":
    sys.exit(main())
