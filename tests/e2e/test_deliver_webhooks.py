"""The DAG that delivers what is due, run by Airflow in a process of its own."""

import json
import os
import subprocess
import sys

import pytest

from pipelines.events import BatchRefused
from pipelines.settings import Settings
from pipelines.stack import airflow_database, airflow_environment
from pipelines.storage.database import ensure_database
from pipelines.storage.outbox import Outbox
from pipelines.storage.services import environment
from pipelines.storage.unit_of_work import unit_of_work
from pipelines.storage.webhooks import WebhookRepository
from tests.receiver import receiving

pytestmark = pytest.mark.e2e

METADATA = "airflow_delivery"
RUN = """
import os, sys
from airflow.utils import db
db.initdb()
from airflow.dag_processing.dagbag import DagBag
dag = DagBag(dag_folder=os.environ["AIRFLOW__CORE__DAGS_FOLDER"]).dags["deliver_webhooks"]
run = dag.test()
sys.exit(0 if str(run.state) == "success" else f"the run ended as {run.state}")
"""


def test_an_event_that_waits_is_delivered(run_settings: Settings):
    assert run_settings.database_url is not None
    database = run_settings.database_url.get_secret_value()
    ensure_database(airflow_database(run_settings, METADATA))
    env = os.environ | environment(run_settings)
    env |= airflow_environment(run_settings, database=METADATA)
    env["BOOKREC_WEBHOOKS__ALLOW_PRIVATE"] = "true"
    event = BatchRefused(
        occasion="1", dataset="shop", run_id="1", suite="ratings", failed=1, report="x"
    )
    with receiving() as receiver:
        with unit_of_work(database) as session:
            WebhookRepository(session).add(receiver.url, ())
            Outbox(session).write(event)
        command = [sys.executable, "-W", "ignore", "-c", RUN]
        ended = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout[-3000:] + ended.stderr[-3000:]
    assert [json.loads(got.body)["id"] for got in receiver.received] == [event.id]
    with unit_of_work(database) as session:
        (delivery,) = Outbox(session).all(None, 10)
    assert delivery.state == "delivered"
