"""DAGs of a task or two, run by Airflow in one process of its own: starting it takes longest."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.events import BatchRefused
from pipelines.maintenance.backups import backups
from pipelines.registry import MlflowRegistry
from pipelines.settings import Settings
from pipelines.stack import airflow_database, airflow_environment
from pipelines.storage.database import ensure_database
from pipelines.storage.outbox import Outbox
from pipelines.storage.services import environment
from pipelines.storage.unit_of_work import unit_of_work
from pipelines.storage.webhooks import WebhookRepository
from tests.integration.release.conftest import Releases
from tests.receiver import receiving

pytestmark = pytest.mark.e2e

RUN = """
import os
from airflow.utils import db
db.initdb()
from airflow.dag_processing.dagbag import DagBag
dags = DagBag(dag_folder=os.environ["AIRFLOW__CORE__DAGS_FOLDER"]).dags
back = {"reason": "complaints", "to_version": 1}
runs = ("deliver_webhooks", {}), ("maintenance", {}), ("rollback_model", back)
for name, conf in (*runs, runs[-1]):
    print("ended", name, dags[name].test(run_conf=conf).state)
"""


def test_an_event_is_delivered_a_backup_made_and_a_model_rolled_back_once(
    run_settings: Settings, tmp_path: Path
):
    registry = MlflowRegistry.from_settings(run_settings)
    registry.prepare()
    releases = Releases(run_settings, registry, tmp_path / "bundles")
    releases.released(3)
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
    said = ended.stdout + ended.stderr
    assert [
        line.split()[1:] for line in ended.stdout.splitlines() if line.startswith("ended ")
    ] == [
        ["deliver_webhooks", "success"],
        ["maintenance", "success"],
        ["rollback_model", "success"],
        ["rollback_model", "failed"],
    ], said[-3000:]
    assert [json.loads(got.body)["id"] for got in receiver.received] == [event.id]
    with unit_of_work(database) as session:
        told = {delivery.event_id: delivery.state for delivery in Outbox(session).all(None, 10)}
    assert told[event.id] == "delivered"
    (backup,) = backups(run_settings)
    assert backup.databases == ("library", "mlflow", "airflow")
    assert (logs / "stack.log.1").read_text() == "long"
    assert "version 1 is champion already" in said
    assert releases.path[3:] == [(3, 1, True)]
    last = releases.moves[-1]
    assert last.who.startswith("airflow:")
    assert last.why == "complaints"
