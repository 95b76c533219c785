"""The DAG that rolls back, run by Airflow in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.registry import MlflowRegistry
from pipelines.settings import Settings
from pipelines.stack import airflow_database, airflow_environment
from pipelines.storage.database import ensure_database
from pipelines.storage.services import environment
from tests.integration.release.conftest import Releases

pytestmark = pytest.mark.e2e

METADATA = "airflow_rollback"
RUN = """
import os, sys
from airflow.utils import db
db.initdb()
from airflow.dag_processing.dagbag import DagBag
dag = DagBag(dag_folder=os.environ["AIRFLOW__CORE__DAGS_FOLDER"]).dags["rollback_model"]
for _ in range(2):
    run = dag.test(run_conf={"reason": "complaints", "to_version": 1})
    print("ended", run.state)
"""


def test_it_rolls_back_once_and_fails_where_there_is_nothing_to_do(
    run_settings: Settings, tmp_path: Path
):
    registry = MlflowRegistry.from_settings(run_settings)
    registry.prepare()
    releases = Releases(run_settings, registry, tmp_path / "bundles")
    releases.released(3)
    ensure_database(airflow_database(run_settings, METADATA))
    env = os.environ | environment(run_settings)
    env |= airflow_environment(run_settings, database=METADATA)
    command = [sys.executable, "-W", "ignore", "-c", RUN]
    ended = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    said = ended.stdout + ended.stderr
    assert ended.returncode == 0, said[-3000:]
    states = [line for line in ended.stdout.splitlines() if line.startswith("ended ")]
    assert states == ["ended success", "ended failed"], said[-3000:]
    assert "version 1 is champion already" in said
    assert releases.path[3:] == [(3, 1, True)]
    last = releases.moves[-1]
    assert last.who.startswith("airflow:")
    assert last.why == "complaints"
