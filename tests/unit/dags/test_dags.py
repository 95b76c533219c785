"""What a scheduler sees, looked at in a fresh interpreter: Airflow configures itself on import."""

import itertools
import json
import os
import subprocess
import sys

import pytest

from pipelines.stages import STAGES

CLOCKS = {
    "@daily": ["CronTriggerTimetable", "0 0 * * *"],
    "30 4 * * 1": ["CronTriggerTimetable", "30 4 * * 1"],
    "@once": ["OnceTimetable", None],
    "@continuous": ["ContinuousTimetable", None],
}
LOOK = (
    f"SCHEDULES = {[None, *CLOCKS]}"
    + """
import json, sys, time
import airflow.sdk
from airflow.sdk import DAG
known = set(sys.modules)
started = time.perf_counter()
import dags.retrain_recommender as retrain
seconds = time.perf_counter() - started
import dags.warm_cache as warm
import dags.data_quality_report as quality
import dags.load_batch as loading
import dags.deliver_webhooks as webhooks
import dags.load_feedback as feedback
import dags.rollback_model as rolling
import dags.maintenance as caring
loaded = set(sys.modules) - known
from pathlib import Path
from airflow.utils.file import list_py_file_paths
heavy = {"pandas", "sklearn", "faiss", "mlflow", "great_expectations", "numpy", "scipy", "implicit"}
dag, warming = retrain.retrain_recommender(), warm.warm_cache()
report, load = quality.data_quality_report(), loading.load_batch()
delivering = webhooks.deliver_webhooks()
telling = feedback.load_feedback()
rollback = rolling.rollback_model()
care = caring.maintenance()

from airflow.serialization.serialized_objects import DagSerialization

def scheduled(when):
    retrain.settings = retrain.settings.model_copy(update={"schedule": when})
    again = DAG("again", schedule=retrain.schedule(), start_date=dag.start_date, max_active_runs=1)
    told = DagSerialization.from_dict(DagSerialization.to_dict(again)).timetable
    clock = getattr(told, "timetable", None)
    return [type(told).__name__, type(clock).__name__, getattr(clock, "_expression", None)]

def shown(dag):
    return {
        t.task_id: {
            "retries": t.retries, "timeout": t.execution_timeout.total_seconds(), "doc": t.doc_md,
            "on_failure": bool(t.on_failure_callback), "upstream": sorted(t.upstream_task_ids),
            "mapped": type(t).__name__.startswith("DecoratedMapped"),
        } for t in dag.topological_sort()
    }
print(json.dumps({
    "tasks": shown(dag), "seconds": seconds, "loaded": sorted(heavy & loaded),
    "schedules": {str(when): scheduled(when) for when in SCHEDULES},
    "load": shown(load), "load_schedule": str(load.schedule), "load_params": sorted(load.params),
    "load_outlets": [a.name for a in load.get_task("store").outlets],
    "doc": dag.doc_md, "params": sorted(dag.params), "catchup": dag.catchup,
    "max_active_runs": dag.max_active_runs, "owner": dag.owner,
    "outlets": [a.name for a in dag.get_task("promote").outlets],
    "warm_schedule": str(warming.schedule),
    "report": [t.task_id for t in report.topological_sort()],
    "report_schedule": str(report.schedule),
    "report_params": sorted(report.params),
    "feedback": [t.task_id for t in telling.topological_sort()],
    "feedback_starts": telling.get_task("load").trigger_dag_id,
    "feedback_schedule": str(telling.schedule),
    "rollback": shown(rollback), "rollback_schedule": str(rollback.schedule),
    "rollback_params": sorted(rollback.params),
    "rollback_outlets": [a.name for a in rollback.get_task("rollback").outlets],
    "care": shown(care), "care_schedule": str(care.schedule),
    "webhooks": [t.task_id for t in delivering.topological_sort()],
    "webhooks_schedule": str(delivering.schedule),
    "files": sorted(Path(f).name for f in list_py_file_paths(Path(retrain.__file__).parent)),
}))
"""
)


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict:
    home = tmp_path_factory.mktemp("airflow")
    env = os.environ | {"AIRFLOW_HOME": str(home), "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
    looked = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", LOOK],
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert looked.returncode == 0, looked.stderr[-2000:]
    return json.loads(looked.stdout.splitlines()[-1])


def test_the_tasks_are_the_stages_in_their_order(seen):
    assert list(seen["tasks"]) == ["decide", *STAGES]


def test_every_stage_waits_for_the_one_before_it(seen):
    stages = list(STAGES)
    for before, stage in itertools.pairwise(stages):
        assert before in seen["tasks"][stage]["upstream"]


def test_only_training_runs_once_a_model(seen):
    assert [name for name, task in seen["tasks"].items() if task["mapped"]] == ["train"]


def test_every_task_retries_times_out_reports_and_explains_itself(seen):
    tasks = [*seen["tasks"].items(), *seen["load"].items(), *seen["care"].items()]
    for name, task in tasks:
        assert task["retries"] >= 1
        assert task["timeout"] > 0
        assert task["on_failure"]
        assert task["doc"] == STAGES.get(name) or name in ("decide", "new", "backup", "prune")
        assert task["doc"]


def test_the_dag_explains_itself_and_takes_parameters(seen):
    assert "decide → ingest → validate" in seen["doc"]
    assert seen["params"] == ["data_path", "library", "seed", "source", "source_options"]
    assert (seen["catchup"], seen["max_active_runs"], seen["owner"]) == (False, 1, "bookrec")


def test_promotion_updates_the_asset_that_warming_waits_for(seen):
    assert seen["outlets"] == ["bookrec_champion"]
    assert "bookrec_champion" in seen["warm_schedule"]


def test_a_batch_goes_through_the_first_stages_and_updates_the_asset_that_training_waits_for(seen):
    stages = list(STAGES)
    assert list(seen["load"]) == ["new", *stages[: stages.index("store") + 1]]
    assert seen["load_outlets"] == ["bookrec_batch"]
    assert seen["load_schedule"] == "None"
    assert seen["load_params"] == ["again", *(p for p in seen["params"] if p != "seed")]


@pytest.mark.parametrize("when", CLOCKS)
def test_training_follows_the_clock_and_batches(seen, when):
    """Also where the clock is a preset that is no cron expression, and as a scheduler reads it."""
    assert seen["schedules"][when] == ["AssetOrTimeSchedule", *CLOCKS[when]]


def test_without_a_clock_training_follows_batches_alone(seen):
    assert seen["schedules"]["None"][0] == "AssetTriggeredTimetable"


def test_the_report_on_the_data_runs_the_first_stages_and_stores_nothing(seen):
    stages = list(STAGES)
    assert seen["report"] == stages[: stages.index("store")]
    assert seen["report_schedule"] == "@daily"
    assert seen["report_params"] == seen["params"]


def test_what_is_due_is_delivered_every_few_minutes(seen):
    assert seen["webhooks"] == ["deliver"]
    assert seen["webhooks_schedule"] == "*/5 * * * *"


def test_a_rollback_is_started_by_hand_tried_once_and_warms_the_cache(seen):
    (task,) = seen["rollback"].values()
    assert (task["retries"], task["on_failure"]) == (0, True)
    assert seen["rollback_schedule"] == "None"
    assert seen["rollback_params"] == ["reason", "to_version"]
    assert seen["rollback_outlets"] == ["bookrec_champion"]


def test_every_day_a_backup_is_made_before_anything_is_removed(seen):
    assert {name: task["upstream"] for name, task in seen["care"].items()} == {
        "backup": [],
        "prune": ["backup"],
    }
    assert seen["care_schedule"] == "@daily"


def test_importing_a_dag_is_fast_and_loads_no_heavy_library(seen):
    assert seen["loaded"] == []
    assert seen["seconds"] < 1.0


def test_airflow_finds_the_dags_and_opens_nothing_else(seen):
    assert seen["files"] == [
        "data_quality_report.py",
        "deliver_webhooks.py",
        "load_batch.py",
        "load_feedback.py",
        "maintenance.py",
        "retrain_recommender.py",
        "rollback_model.py",
        "warm_cache.py",
    ]


def test_feedback_is_loaded_every_hour_by_the_dag_that_loads_batches(seen):
    assert seen["feedback"] == ["library", "load"]
    assert seen["feedback_starts"] == "load_batch"
    assert "@hourly" in seen["feedback_schedule"] or "0 * * * *" in seen["feedback_schedule"]
