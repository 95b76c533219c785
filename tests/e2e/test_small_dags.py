"""DAGs of a task or two, run by Airflow in one process of its own: starting it takes longest."""

import json
import os
import subprocess
import sys

import pytest

from pipelines.events import BatchRefused
from pipelines.maintenance.backups import backups
from pipelines.settings import Settings
from pipelines.stack import airflow_database, airflow_environment
from pipelines.storage.database import ensure_database
from pipelines.storage.outbox import Outbox
from pipelines.storage.services import environment
from pipelines.storage.unit_of_work import unit_of_work
from pipelines.storage.webhooks import WebhookRepository
from tests.receiver import receiving

pytestmark = pytest.mark.e2e

RUN = """
import os, sys
from airflow.utils import db
db.initdb()
from airflow.dag_processing.dagbag import DagBag
dags = DagBag(dag_folder=os.environ["AIRFLOW__CORE__DAGS_FOLDER"]).dags
states = {name: str(dags[name].test().state) for name in ("deliver_webhooks", "maintenance")}
sys.exit(0 if set(states.values()) == {"success"} else str(states))
"""


def test_an_event_that_waits_is_delivered_and_a_backup_made(run_settings: Settings):
    assert run_settings.database_url is not None
    database = run_settings.database_url.get_secret_value()
    ensure_database(airflow_database(run_settings))
    logs = run_settings.home / "logs"
    logs.mkdir()
    (logs / "stack.log").write_text("long")
    env = os.environ | environment(run_settings)
    env |= airflow_environment(run_settings)
    env["BOOKREC_MAINTENANCE__LOG_BYTES"] = "1"
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
    (backup,) = backups(run_settings)
    assert backup.databases == ("library", "mlflow", "airflow")
    assert (logs / "stack.log.1").read_text() == "long"
