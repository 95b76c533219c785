"""The rules, as Prometheus itself judges and evaluates them."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from pipelines.storage.database import migrate
from pipelines.storage.profiles import BatchProfile, ProfileRepository
from pipelines.storage.unit_of_work import unit_of_work
from serving.gateway.app import create_app
from tests.monitoring import FROM_OTHERS, queries, selectors
from tests.prometheus import accepts, alertmanager, exporters, prometheus, sending_to
from tests.receiver import Receiver, receiving
from tests.serving_parts import Shelf, bundle, parts

pytestmark = pytest.mark.e2e


def test_the_configuration_is_accepted_and_the_rules_keep_their_promises(tmp_path: Path):
    assert "SUCCESS" in accepts("promtool", "check", "config", "prometheus.yml")
    assert "SUCCESS" in accepts("promtool", "test", "rules", "alerts.test.yml")
    webhook = tmp_path / "webhook.yml"
    webhook.write_text(sending_to("http://127.0.0.1:1"))
    assert "SUCCESS" in accepts("amtool", "check-config", "alertmanager/nobody.yml", str(webhook))


def sent(hook: Receiver) -> set[tuple[str, str]]:
    """The names of alarms that were sent, and whether they begin or end."""
    bodies = [json.loads(received.body) for received in hook.received]
    return {(a["labels"]["alertname"], a["status"]) for body in bodies for a in body["alerts"]}


@contextmanager
def served(app: Any) -> Iterator[str]:
    """An application on the loopback; gives its address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            yield "{}:{}".format(*listener.getsockname())
        finally:
            server.should_exit = True
            thread.join()


def test_alerts_fire_for_what_is_wrong_are_sent_and_stop_once_it_is_right(
    postgres_url: str, redis_url: str, tmp_path: Path
):
    migrate(postgres_url)
    refused = BatchProfile("shop", "run", False, 40.0, {"drift": None}, {})
    with unit_of_work(postgres_url) as session:
        ProfileRepository(session).record(refused)
    shelf = Shelf()
    components = parts(shelf, database_url=postgres_url)
    with (
        served(create_app(lambda: components)) as address,
        exporters(tmp_path, postgres_url, redis_url) as exported,
        receiving() as hook,
        alertmanager(tmp_path, hook.url) as alarms,
        prometheus(
            tmp_path, {"blue-1:8080": address, "alertmanager:9093": alarms} | exported
        ) as watcher,
    ):
        wrong = {"NoChampion", "BatchRefused", "QualityScore", "ReplicaDown", "TargetDown"}
        watcher.until(lambda: wrong <= watcher.firing())
        assert not watcher.firing() & {"ServiceDown", "DatabaseAway", "RedisAway", "RulesFail"}
        firing = watcher.ask("query", query='ALERTS{alertname="NoChampion",alertstate="firing"}')
        assert [found["metric"]["instance"] for found in firing["result"]] == [address]
        watcher.until(lambda: ("NoChampion", "firing") in sent(hook))

        shelf.publish(bundle())
        components.slot.refresh()
        watcher.until(lambda: "NoChampion" not in watcher.firing())
        watcher.until(lambda: ("NoChampion", "resolved") in sent(hook))
        assert "BatchRefused" in watcher.firing()

        names = set(watcher.ask("label/__name__/values"))
        asked = {s.metric for where, query in queries().items() for s in selectors(where, query)}
        of_others = {name for name in asked if name.startswith(FROM_OTHERS)}
        assert all(any(name.startswith(start) for name in of_others) for start in FROM_OTHERS)
        assert of_others <= names
