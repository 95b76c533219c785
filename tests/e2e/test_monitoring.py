"""The rules, as Prometheus itself judges and evaluates them."""

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
from tests.monitoring import queries, selectors
from tests.prometheus import node_exporter, prometheus, promtool
from tests.serving_parts import Shelf, bundle, parts

pytestmark = pytest.mark.e2e


def test_promtool_accepts_the_configuration_and_the_rules_keep_their_promises():
    assert "SUCCESS" in promtool("check", "config", "prometheus.yml")
    assert "SUCCESS" in promtool("test", "rules", "alerts.test.yml")


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


def test_alerts_fire_for_what_is_wrong_and_stop_once_it_is_right(postgres_url: str, tmp_path: Path):
    migrate(postgres_url)
    refused = BatchProfile("shop", "run", False, 40.0, {"drift": None}, {})
    with unit_of_work(postgres_url) as session:
        ProfileRepository(session).record(refused)
    shelf = Shelf()
    components = parts(shelf, database_url=postgres_url)
    with (
        served(create_app(lambda: components)) as address,
        node_exporter(tmp_path) as node,
        prometheus(tmp_path, {"blue-1:8080": address, "node-exporter:9100": node}) as watcher,
    ):
        wrong = {"NoChampion", "BatchRefused", "QualityScore", "ReplicaDown", "TargetDown"}
        watcher.until(lambda: wrong <= watcher.firing())
        assert not watcher.firing() & {"ServiceDown", "DatabaseAway", "RedisAway", "RulesFail"}
        firing = watcher.ask("query", query='ALERTS{alertname="NoChampion",alertstate="firing"}')
        assert [found["metric"]["instance"] for found in firing["result"]] == [address]

        shelf.publish(bundle())
        components.slot.refresh()
        watcher.until(lambda: "NoChampion" not in watcher.firing())
        assert "BatchRefused" in watcher.firing()

        names = set(watcher.ask("label/__name__/values"))
        asked = {s.metric for where, query in queries().items() for s in selectors(where, query)}
        of_others = {name for name in asked if name.startswith(("up", "node_", "prometheus_"))}
        assert len(of_others) > 3
        assert of_others <= names
