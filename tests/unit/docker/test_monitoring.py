"""Rules and dashboards ask for what there is, and say what to do."""

import importlib.util
import re
import runpy
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from prometheus_client.parser import text_string_to_metric_families

from pipelines.cli import app
from pipelines.storage.figures import Figures
from serving.bootstrap import Components
from tests.deployment import DOCKER, ROOT, compose
from tests.factories import FIGURES
from tests.fakes import FakeCache
from tests.monitoring import (
    FROM_OTHERS,
    MONITORING,
    Selector,
    dashboards,
    queries,
    read_yaml,
    rules,
    selectors,
)
from tests.serving_parts import Shelf, bundle, client, parts

SCRAPED = {"job", "instance", "colour"}
"""Labels that Prometheus adds, by our configuration."""
SUFFIXES = {"counter": ("",), "histogram": ("_bucket", "_sum", "_count"), "gauge": ("",)}


@dataclass(frozen=True)
class KnownFigures:
    """In the place of what PostgreSQL tells."""

    async def read(self) -> Figures:
        return FIGURES

    async def stop(self) -> None:
        pass


@pytest.fixture(scope="module")
def metrics() -> dict[str, set[str]]:
    """The metrics of a service that has answered, by name, with the labels of their samples."""
    shelf = Shelf()
    shelf.publish(bundle(), data_quality_score="97")
    shelf.publish(bundle(), alias="challenger")
    cache = FakeCache()
    trial = {"alias": "challenger", "shadow": True}
    components: Components = parts(shelf, cache, ab_test=trial)
    components.metrics.feedback.labels("click", "true").inc()
    with client(replace(components, figures=KnownFigures())) as http:  # type: ignore[arg-type]
        for _ in range(2):
            assert http.get("/api/v1/users/3/recommendations").status_code == 200
        return _told(http.get("/metrics").text)


def _told(text: str) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for name, kind in re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE):
        for suffix in SUFFIXES[kind]:
            found[name + suffix] = set()
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name in found:  # the time when a counter was made is asked for by nobody
                found[sample.name] |= set(sample.labels)
    return found


def of_airflow() -> Iterator[str]:
    """What the mapping makes of what Airflow says."""
    for mapping in read_yaml("statsd.yml")["mappings"]:
        if mapping.get("action") != "drop":
            name = mapping["name"]
            yield from (name + "_count", name + "_sum") if name.endswith("_seconds") else (name,)


def all_selectors() -> list[Selector]:
    return [found for where, query in queries().items() for found in selectors(where, query)]


def test_what_a_query_asks_for_is_found():
    query = (
        'sum by (a) (rate(x_total{b="c"}[5m])) / on () group_left () max_over_time(y[1h:]) '
        'unless {__name__="z", d=~"e"} offset 5m'
    )
    found = list(selectors("here", query))
    assert [(s.metric, set(s.labels)) for s in found] == [
        ("x_total", {"b"}),
        ("y", set()),
        ("", {"d"}),
    ]
    with pytest.raises(ValueError, match=r".+"):
        list(selectors("here", "sum by ("))


def test_every_query_names_a_metric_that_exists(metrics: dict[str, set[str]]):
    known = set(metrics) | set(of_airflow())
    asked = all_selectors()
    assert len(asked) > 20
    unknown = [s for s in asked if s.metric not in known and not s.metric.startswith(FROM_OTHERS)]
    assert unknown == []


def test_every_query_names_labels_that_exist(metrics: dict[str, set[str]]):
    ours = [s for s in all_selectors() if s.metric in metrics]
    assert ours
    unknown = [s for s in ours if not s.labels <= metrics[s.metric] | SCRAPED]
    assert unknown == []


def test_every_metric_of_airflow_is_one_that_it_sends():
    spec = importlib.util.find_spec("airflow")
    assert spec is not None
    (folder,) = spec.submodule_search_locations or ()
    template = Path(folder) / "_shared" / "observability" / "metrics" / "metrics_template.yaml"
    sent = {m["name"]: m["type"] for m in yaml.safe_load(template.read_text())["metrics"]}
    ending = {"counter": "_total", "timer": "_seconds", "gauge": ""}
    mappings = [m for m in read_yaml("statsd.yml")["mappings"] if m.get("action") != "drop"]
    for mapping in mappings:
        kinds = {
            kind for name, kind in sent.items() if fnmatch(f"airflow.{name}", mapping["match"])
        }
        assert len(kinds) == 1, mapping["match"]
        assert mapping["name"].endswith(ending[kinds.pop()]), mapping["name"]


def test_airflow_tags_what_it_sends_to_who_listens():
    services = compose("compose.yaml")["services"]
    environment = services["airflow-scheduler"]["environment"]
    assert environment["AIRFLOW__METRICS__STATSD_INFLUXDB_ENABLED"] == "True"
    assert environment["AIRFLOW__METRICS__STATSD_HOST"] in services


def test_kubernetes_maps_what_airflow_says_in_the_same_way():
    values = yaml.safe_load((DOCKER / "kubernetes" / "airflow-values.yaml").read_text())
    assert values["statsd"]["overrideMappings"] == read_yaml("statsd.yml")["mappings"]
    assert values["config"]["metrics"]["statsd_influxdb_enabled"] == "True"


def test_every_target_is_a_service_and_every_replica_a_target():
    services = compose("compose.yaml")["services"]
    jobs = {job["job_name"]: job for job in read_yaml("prometheus.yml")["scrape_configs"]}
    asked = {
        target.partition(":")[0]
        for job in jobs.values()
        for static in job["static_configs"]
        for target in static["targets"]
    }
    (alerting,) = read_yaml("prometheus.yml")["alerting"]["alertmanagers"]
    assert alerting["static_configs"][0]["targets"] == ["alertmanager:9093"]
    assert asked - {"127.0.0.1"} <= set(services)
    assert {name for name in services if re.fullmatch(r"(blue|green)-\d", name)} <= asked
    assert all("app" in services[name]["networks"] for name in asked - {"127.0.0.1"})


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_an_alert_says_what_to_do(rule: dict[str, Any]):
    assert rule["labels"]["severity"] in {"page", "ticket"}
    told = rule["annotations"]
    assert set(told) == {"summary", "description", "runbook_url"}
    path, _, anchor = told["runbook_url"].partition("#")
    assert re.fullmatch(r"docs/runbooks/[a-z-]+\.md", path)
    if anchor and (ROOT / path).exists():
        titles = re.findall(r"^#+ (.*)$", (ROOT / path).read_text(), re.MULTILINE)
        assert anchor in {re.sub(r"[^\w-]", "", t.lower().replace(" ", "-")) for t in titles}
    for command in re.findall(r"`bookrec ([a-z -]+)`", told["description"]):
        resolve(command)


def resolve(command: str) -> None:
    """Raise unless there is such a command."""
    group: Any = typer.main.get_command(app)
    for word in command.split():
        group = group.commands[word]


def test_every_alert_is_tested():
    tested = (ROOT / "docker" / "monitoring" / "alerts.test.yml").read_text()
    assert [rule["alert"] for rule in rules() if rule["alert"] not in tested] == []


def test_the_dashboards_are_those_of_their_table():
    written = runpy.run_path(str(MONITORING / "grafana" / "make_dashboards.py"))["written"]()
    assert {path.stem for path in written} == {"service", "pipeline", "data", "stores", "business"}
    for path, text in written.items():
        assert path.read_text() == text, f"{path.name} is not current: make dashboards"
    assert set(dashboards()) == {path.stem for path in written}


@pytest.mark.parametrize("name", dashboards())
def test_a_dashboard_is_one_of_grafana(name: str):
    """As Grafana's model of a dashboard describes it: it cannot be run here."""
    dashboard = dashboards()[name]
    assert re.fullmatch(r"[a-zA-Z0-9_-]{1,40}", dashboard["uid"])
    assert dashboard["title"]
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels) > 5
    assert len({panel["title"] for panel in panels}) == len(panels)
    cells = [cell for panel in panels for cell in _cells(panel["gridPos"])]
    assert len(cells) == len(set(cells)), "panels overlap"
    stores = {store["uid"]: store["type"] for store in _provisioned("datasources")}
    for panel in panels:
        assert panel["type"] in {"timeseries", "stat", "state-timeline", "logs"}
        assert stores[panel["datasource"]["uid"]] == panel["datasource"]["type"]
        assert [t["refId"] for t in panel["targets"]] == list("ABCDEFGH"[: len(panel["targets"])])
        assert all(target["expr"] and target["legendFormat"] for target in panel["targets"])


def _cells(place: dict[str, int]) -> list[tuple[int, int]]:
    assert 0 <= place["x"] < place["x"] + place["w"] <= 24
    return [
        (x, y)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]


def _provisioned(kind: str) -> list[dict[str, Any]]:
    read = read_yaml(f"grafana/provisioning/{kind}/bookrec.yaml")
    assert read["apiVersion"] == 1
    found: list[dict[str, Any]] = read["providers" if kind == "dashboards" else kind]
    return found


def test_grafana_finds_dashboards_and_stores():
    services = compose("compose.yaml")["services"]
    for store in _provisioned("datasources"):
        host = re.fullmatch(r"http://([a-z]+):\d+", store["url"])
        assert host is not None
        assert host[1] in services
    mounted = {v["target"]: Path(v["source"]) for v in services["grafana"]["volumes"]}
    (provider,) = _provisioned("dashboards")
    assert mounted[provider["options"]["path"]] == MONITORING / "grafana" / "dashboards"
    assert mounted["/etc/grafana/provisioning"] == MONITORING / "grafana" / "provisioning"


@pytest.mark.parametrize(
    ("address", "chosen"), [("", "nobody"), ("https://hook.example", "webhook")]
)
def test_alarms_are_sent_once_a_secret_says_where(tmp_path: Path, address: str, chosen: str):
    """By the very command of Compose, which a program that tells its arguments stands in for."""
    service = compose("compose.yaml")["services"]["alertmanager"]
    (tmp_path / "alert_webhook").write_text(address)
    (tmp_path / "alertmanager").write_text('#!/bin/sh\necho "$1"\n')
    (tmp_path / "alertmanager").chmod(0o755)
    (script,) = service["command"]
    script = script.replace("$$", "$").replace("/run/secrets", str(tmp_path))
    told = subprocess.check_output(
        [*service["entrypoint"], script], env={"PATH": f"{tmp_path}:/usr/bin:/bin"}, text=True
    )
    assert told == f"--config.file=/etc/alertmanager/{chosen}.yml\n"
    assert (MONITORING / "alertmanager" / f"{chosen}.yml").exists()
    assert "alert_webhook" in [secret["source"] for secret in service["secrets"]]
