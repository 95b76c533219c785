"""Lines of one shape from every container, kept within bounds, and shipped to Loki."""

import json
import re
import subprocess
import sys
from typing import Any

import pytest
import yaml

from tests.deployment import DOCKER, compose
from tests.images import images
from tests.monitoring import dashboards, read_yaml

SHAPE = {"timestamp", "level", "event", "service"}
LOG_A_REQUEST = """
import json, logging.config, sys
logging.config.dictConfig(json.load(open(sys.argv[1])))
logging.getLogger("uvicorn.access").info('%s - "GET %s"', "127.0.0.1", "/health")
"""


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    found: dict[str, Any] = compose("compose.yaml")["services"]
    return found


def test_every_container_rotates_its_log_and_says_who_wrote_it(services: dict[str, Any]):
    for name, service in services.items():
        assert service["logging"]["driver"] == "json-file", name
        options = service["logging"]["options"]
        assert (options["max-size"], options["max-file"]) == ("10m", "5"), name
        assert options["labels"] == "com.docker.compose.service", name


def test_nginx_writes_the_shape():
    text = (DOCKER / "nginx" / "nginx.conf").read_text()
    format_ = re.search(r"log_format json escape=json\s+(.*?);", text, re.DOTALL)
    assert format_ is not None
    line = "".join(re.findall(r"'(.*?)'", format_[1]))
    told = json.loads(re.sub(r"\$\w+", "0", line))
    assert set(told) >= SHAPE | {"request_id"}
    assert told["service"] == "proxy"
    assert "access_log /dev/stdout json;" in text


def test_mlflow_writes_the_shape():
    assert "/logging.json" in images()["mlflow"].environment["MLFLOW_UVICORN_OPTS"]
    # In a process of its own: others have told these loggers what to do.
    ended = subprocess.run(
        [sys.executable, "-c", LOG_A_REQUEST, DOCKER / "mlflow" / "logging.json"],
        capture_output=True,
        text=True,
        check=True,
    )
    told = json.loads(ended.stderr)
    assert set(told) == SHAPE | {"logger"}
    assert (told["event"], told["service"]) == ('127.0.0.1 - "GET /health"', "mlflow")


def test_airflow_is_told_to_write_the_shape(services: dict[str, Any]):
    programs = {name for name in services if name.startswith("airflow-")}
    assert len(programs) == 6
    for name in programs:
        assert services[name]["environment"]["AIRFLOW__LOGGING__JSON_LOGS"] == "True", name
    values = yaml.safe_load((DOCKER / "kubernetes" / "airflow-values.yaml").read_text())
    assert values["config"]["logging"]["json_logs"] == "True"


def test_the_shipper_reads_what_docker_writes_and_reaches_loki(services: dict[str, Any]):
    """Its structure alone: Vector cannot be run here."""
    told = read_yaml("vector.yaml")
    assert set(told) == {"data_dir", "sources", "transforms", "sinks"}
    (source,), (transform,), (sink,) = (told[k].items() for k in ("sources", "transforms", "sinks"))
    assert (source[1]["type"], transform[1]["type"], sink[1]["type"]) == ("file", "remap", "loki")
    assert transform[1]["inputs"] == [source[0]]
    assert sink[1]["inputs"] == [transform[0]]
    mounted = {volume["target"] for volume in services["vector"]["volumes"]}
    assert source[1]["include"][0].startswith("/var/lib/docker/containers/")
    assert {"/var/lib/docker/containers", told["data_dir"], "/etc/vector/vector.yaml"} <= mounted
    host = re.fullmatch(r"http://(\w+):3100", sink[1]["endpoint"])
    assert host is not None
    assert host[1] in services
    program = transform[1]["source"]
    for name in SHAPE - {"event"} | {"container"}:
        assert re.search(rf"^\.{name} = ", program, re.MULTILINE), name
    assert '{"event": line}' in program
    assert services["vector"]["logging"]["options"]["labels"] in program
    for name, template in sink[1]["labels"].items():
        assert template == f"{{{{ {name} }}}}"


def test_dashboards_look_for_labels_that_the_shipper_sets():
    labels = set(read_yaml("vector.yaml")["sinks"]["loki"]["labels"])
    asked = [
        target["expr"]
        for dashboard in dashboards().values()
        for panel in dashboard["panels"]
        if panel["datasource"]["type"] == "loki"
        for target in panel["targets"]
    ]
    assert asked
    for query in asked:
        selector = re.fullmatch(r"\{(.*)\}", query)
        assert selector is not None
        assert set(re.findall(r"(\w+)=~?\"", selector[1])) <= labels
