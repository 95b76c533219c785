"""A batch through Airflow: it is loaded, its asset event starts a training or says why not."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pipelines.registry import MlflowRegistry
from pipelines.settings import Settings
from pipelines.stack import airflow_database, airflow_environment
from pipelines.stages import STAGES
from pipelines.storage.database import ensure_database
from pipelines.storage.services import environment

pytestmark = pytest.mark.e2e

METADATA = "airflow_load"
RUN = """
import json, os, sys
from airflow.models import dagrun
from airflow.models.asset import AssetEvent
from airflow.settings import Session
from airflow.utils import db
from sqlalchemy import select
from airflow.dag_processing.dagbag import DagBag

dag_id, conf = sys.argv[1], json.loads(sys.argv[2])
db.initdb()
create = dagrun.get_or_create_dagrun

def started_by_events(*, session, **given):
    # What a scheduler does: `dag.test` starts every run by hand.
    run = create(session=session, **given)
    if dag_id == "retrain_recommender":
        run.consumed_asset_events.extend(session.scalars(select(AssetEvent)))
        session.commit()
    return run

dagrun.get_or_create_dagrun = started_by_events
run = DagBag(dag_folder=os.environ["AIRFLOW__CORE__DAGS_FOLDER"]).dags[dag_id].test(run_conf=conf)
with Session() as session:
    tasks = run.get_task_instances(session=session)
    told = {t.task_id: str(t.state) for t in tasks}
    first = {"load_batch": "new", "retrain_recommender": "decide"}[dag_id]
    reason = next(t for t in tasks if t.task_id == first).xcom_pull(task_ids=first, key="reason")
print(json.dumps({"state": str(run.state), "tasks": told, "reason": reason}))
"""


def run_dag(settings: Settings, dag_id: str, *, share: str = "", **conf: str) -> dict[str, Any]:
    env = os.environ | environment(settings) | airflow_environment(settings, database=METADATA)
    env |= {"BOOKREC_MODELS": '["popularity", "item_knn"]'}
    env |= {"BOOKREC_LOADING__RETRAIN_SHARE": share} if share else {}
    command = [sys.executable, "-W", "ignore", "-c", RUN, dag_id, json.dumps(conf)]
    ended = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout[-3000:] + ended.stderr[-3000:]
    told: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    assert told["state"] == "success", ended.stdout[-3000:] + ended.stderr[-3000:]
    return told


def test_a_batch_starts_a_training_from_its_library_where_enough_changed(
    run_settings: Settings, library: Path
):
    ensure_database(airflow_database(run_settings, METADATA))
    batch = {"source": "interactions", "data_path": str(library), "library": "shop"}

    loaded = run_dag(run_settings, "load_batch", **batch)
    assert set(loaded["tasks"].values()) == {"success"}

    again = run_dag(run_settings, "load_batch", **batch)
    assert again["reason"] == "nothing new: what it holds was loaded into shop before"
    assert again["tasks"].pop("new") == "success"
    assert set(again["tasks"].values()) == {"skipped"}

    skipped = run_dag(run_settings, "retrain_recommender", share="1.5")
    assert skipped["reason"].startswith("skipped: 960 of 960 ratings of shop changed since the")
    assert skipped["tasks"].pop("decide") == "success"
    assert skipped["tasks"] == dict.fromkeys(STAGES, "skipped")

    trained = run_dag(run_settings, "retrain_recommender")
    assert trained["reason"] == "960 of 960 ratings of shop changed since the champion learnt"
    assert set(trained["tasks"].values()) == {"success"}
    champion = MlflowRegistry.from_settings(run_settings).by_alias("champion")
    assert champion is not None
    assert {k: champion.tags[k] for k in ("source", "data_path", "library", "load")} == {
        "source": "library", "data_path": "shop", "library": "shop", "load": "1",
    }  # fmt: skip
