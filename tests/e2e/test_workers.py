"""A batch starts a training on two Celery workers, one of which dies: it ends all the same."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any

import psutil
import pytest

from pipelines.pipeline_settings import StackSettings
from pipelines.processes import running
from pipelines.registry import MlflowRegistry
from pipelines.settings import Settings
from pipelines.stack import Program, airflow_password_file, airflow_programs, free_port, script
from pipelines.supervisor import prepare_airflow
from tests.airflow_api import CHEAP, AirflowApi, until
from tests.integration.stages.test_loads import LIBRARY, Adding, load
from tests.integration.stages.test_loads import adding as adding

pytestmark = pytest.mark.e2e

WORKERS = ("worker-1", "worker-2")
DISTRIBUTED = {
    "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
    "AIRFLOW__CORE__PARALLELISM": "4",
    "AIRFLOW__CELERY__WORKER_CONCURRENCY": "1",
    # Who has died is missed after seconds, not after minutes, and the next attempt follows at once.
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "10",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "2",
    "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "2",
    "AIRFLOW__CORE__MAX_TASK_RETRY_DELAY": "1",
}


@contextmanager
def airflow_with_workers(settings: Settings, broker: str) -> Iterator[AirflowApi]:
    """Airflow's programs and two workers, each in a process group of its own."""
    prepare_airflow(settings)
    env = DISTRIBUTED | CHEAP | {"AIRFLOW__CELERY__BROKER_URL": broker}
    api, scheduler, dag_processor, _ = airflow_programs(settings)
    programs = [api, scheduler, dag_processor, *(worker(name, api) for name in WORKERS)]
    with ExitStack() as stack:
        logs = settings.home / "logs"
        ready = [
            stack.enter_context(running(replace(p, env={**p.env, **env}), log_folder=logs))
            for p in programs
        ]
        for wait_until_ready in ready:
            wait_until_ready()
        yield stack.enter_context(AirflowApi(str(api.address), airflow_password_file(settings)))


def worker(name: str, other: Program) -> Program:
    """As `airflow_programs` would make one: with the same environment as the others."""
    argv = [script("airflow"), "celery", "worker", "--celery-hostname", f"{name}@%h"]
    return replace(other, name=name, argv=[*argv, "--skip-serve-logs"], address=None, health=None)


def kill_worker_of(task: dict[str, Any]) -> None:
    """Kill the worker that a task runs on and all it has started, as a power cut does."""
    worker = psutil.Process(os.getsid(task["pid"]))
    for process in [worker, *worker.children(recursive=True)]:
        process.kill()


def test_a_training_after_a_batch_ends_though_a_worker_dies(
    run_settings: Settings, redis_url: str, adding: Adding
):
    load(adding("run-0"))
    settings = run_settings.model_copy(update={"stack": StackSettings(airflow_port=free_port())})
    with airflow_with_workers(settings, redis_url.removesuffix("/0") + "/1") as airflow:
        airflow.update_asset("bookrec_batch", library=LIBRARY)

        def training() -> list[dict[str, Any]]:
            run = airflow.begun("retrain_recommender")
            tasks = airflow.tasks(run) if run else []
            return [t for t in tasks if (t["task_id"], t["state"]) == ("train", "running")]

        (hit, *_) = until(training, "a model is trained")
        kill_worker_of(hit)
        trained = airflow.run("retrain_recommender")
        reason = airflow.told(trained, "decide", "reason")
        assert reason == "960 of 960 ratings of shop changed since the champion learnt"
        tasks = airflow.tasks(trained)
    assert {t["state"] for t in tasks} == {"success"}
    tries = {(t["task_id"], t["map_index"]): t["try_number"] for t in tasks}
    assert tries.pop(("train", hit["map_index"])) == 2
    assert set(tries.values()) == {1}
    champion = MlflowRegistry.from_settings(settings).by_alias("champion")
    assert champion is not None
    assert {k: champion.tags[k] for k in ("source", "data_path", "library", "load")} == {
        "source": "library", "data_path": LIBRARY, "library": LIBRARY, "load": "1",
    }  # fmt: skip
