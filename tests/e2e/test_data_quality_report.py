"""The DAG that reports on the data, run by Airflow in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.settings import Settings
from pipelines.stack import airflow_database, airflow_environment
from pipelines.storage.database import ensure_database
from pipelines.storage.profiles import ProfileRepository
from pipelines.storage.repositories import LibraryRepository
from pipelines.storage.services import environment
from pipelines.storage.unit_of_work import unit_of_work
from tests.pipeline_runs import small_ratings

pytestmark = pytest.mark.e2e

METADATA = "airflow_report"
RUN = """
import os, sys
from airflow.utils import db
db.initdb()
from airflow.dag_processing.dagbag import DagBag
dag = DagBag(dag_folder=os.environ["AIRFLOW__CORE__DAGS_FOLDER"]).dags["data_quality_report"]
run = dag.test(run_conf={"source": "interactions", "data_path": sys.argv[1]})
sys.exit(0 if str(run.state) == "success" else f"the run ended as {run.state}")
"""


def test_a_report_is_made_and_nothing_that_training_reads_is_changed(
    run_settings: Settings, library: Path
):
    ensure_database(airflow_database(run_settings, METADATA))
    env = os.environ | environment(run_settings)
    env |= airflow_environment(run_settings, database=METADATA)
    command = [sys.executable, "-W", "ignore", "-c", RUN, str(library)]
    ended = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout[-3000:] + ended.stderr[-3000:]
    assert run_settings.database_url is not None
    with unit_of_work(run_settings.database_url.get_secret_value()) as session:
        (found,) = ProfileRepository(session).latest(1)
        counts = LibraryRepository(session, found.dataset).counts()
    assert (found.accepted, found.stored_at) == (True, None)
    assert found.run_id.startswith("data-quality-")
    assert found.profile["ratings"] == len(small_ratings())
    assert Path(found.quality["report"]).is_file()
    assert set(counts.values()) == {0}
