"""The stack as Docker Compose reads it, held to what every service of it has to have."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.deployment import DOCKER, ROOT, compose, make_secrets

Service = dict[str, Any]

ONE_SHOT = {"migrate", "airflow-migrate"}
NETWORKS = {
    "postgres": {"data"},
    "redis": {"data"},
    "broker": {"data"},
    "migrate": {"data"},
    "proxy": {"front", "app"},
    "blue-1": {"app", "data"},
    "green-2": {"app", "data"},
    "vector": {"app"},
    "alertmanager": {"front", "app"},
    "postgres-exporter": {"app", "data"},
    "redis-exporter": {"app", "data"},
}
RELEASE = {"BOOKREC_REGISTRY": "registry.example/bookrec", "BOOKREC_VERSION": "1.2.3"}


@pytest.fixture(scope="module")
def stack() -> dict[str, Any]:
    return compose("compose.yaml")


@pytest.fixture(scope="module")
def staging() -> dict[str, Any]:
    return compose("compose.yaml", "compose.staging.yaml", **RELEASE)


def services(stack: dict[str, Any]) -> dict[str, Service]:
    found: dict[str, Service] = stack["services"]
    assert len(found) > 10
    return found


def test_every_service_is_bounded_and_hardened(stack: dict[str, Any]):
    for name, service in services(stack).items():
        limits = service["deploy"]["resources"]["limits"]
        assert {"cpus", "memory", "pids"} <= set(limits), name
        assert service["read_only"], name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["logging"]["options"]["max-size"], name
        assert not service.get("privileged"), name
        assert service.get("network_mode") != "host", name
        assert not [v for v in service.get("volumes", []) if "docker.sock" in v["source"]], name


def test_checks_that_need_secrets_are_given_them(stack: dict[str, Any]):
    """A check is no child of the entry point, which makes variables of them."""
    for name in ("airflow-dag-processor", "airflow-triggerer", "airflow-worker"):
        assert services(stack)[name]["healthcheck"]["test"][1].startswith("with-secrets "), name


def test_root_is_only_who_reads_the_logs(stack: dict[str, Any]):
    found = services(stack)
    assert {name for name, s in found.items() if s.get("user") in {"root", "0", "0:0"}} == {
        "vector"
    }
    assert {name for name, s in found.items() if s.get("cap_add")} == {"vector"}
    assert all(v["read_only"] for v in found["vector"]["volumes"] if v["type"] == "bind")


def test_every_service_that_stays_says_whether_it_is_well(stack: dict[str, Any]):
    for name, service in services(stack).items():
        if name in ONE_SHOT:
            assert service["restart"] == "no"
        else:
            assert service["healthcheck"]["test"], name
            assert service["restart"] == "unless-stopped", name


def test_ports_are_open_to_this_machine_alone(stack: dict[str, Any]):
    opened = [(name, port) for name, s in services(stack).items() for port in s.get("ports", [])]
    assert {name for name, _ in opened} >= {"proxy", "mlflow", "airflow-api"}
    assert {port["host_ip"] for _, port in opened} == {"127.0.0.1"}


def test_networks_keep_the_data_apart(stack: dict[str, Any]):
    found = services(stack)
    for name, networks in NETWORKS.items():
        assert set(found[name]["networks"]) == networks, name
    assert stack["networks"]["data"]["internal"]
    # Who can be reached from this machine does not reach PostgreSQL or Redis, but those that must.
    both = {n for n, s in found.items() if {"front", "data"} <= set(s["networks"])}
    assert both == {"mlflow", "airflow-api", "api-dev"}


def test_secrets_come_from_files_that_are_made(stack: dict[str, Any]):
    made = make_secrets()["secret_files"]()
    assert set(stack["secrets"]) == set(made)
    assert all(Path(s["file"]).parent == DOCKER / "secrets" for s in stack["secrets"].values())
    for name, service in services(stack).items():
        environment = service.get("environment") or {}
        assert not set(environment) & set(made), name
        for variable, value in environment.items():
            is_secret = re.search(r"PASSWORD|SECRET|TOKEN|_KEY|KEYS", variable)
            assert not is_secret or str(value).startswith("/run/secrets/"), (name, variable)
            assert "@" not in str(value), (name, variable)


def test_replicas_differ_in_their_home_alone(stack: dict[str, Any]):
    found = services(stack)
    replicas = [found[f"{colour}-{n}"] for colour in ("blue", "green") for n in (1, 2)]
    homes = [_mounted(replica)["/var/lib/bookrec"] for replica in replicas]
    assert len(set(homes)) == len(replicas)
    plain = [{k: v for k, v in r.items() if k not in {"volumes", "profiles"}} for r in replicas]
    assert plain == [plain[0]] * len(replicas)
    for colour in ("blue", "green"):
        upstream = (DOCKER / "nginx" / "upstreams" / f"{colour}.conf").read_text()
        assert re.findall(r"server (\S+):8080", upstream) == [f"{colour}-1", f"{colour}-2"]


def test_whoever_forgets_a_reader_finds_the_runs(stack: dict[str, Any]):
    found = services(stack)
    for name in (
        "blue-1",
        "blue-2",
        "green-1",
        "green-2",
        "api-dev",
        "airflow-scheduler",
        "airflow-worker",
    ):
        folder = found[name]["environment"]["BOOKREC_STORAGE_URL"]
        assert _mounted(found[name])[folder] == "storage", name


def _mounted(service: Service) -> dict[str, str]:
    """By folder, what is mounted there."""
    return {volume["target"]: volume["source"] for volume in service["volumes"]}


def test_what_waits_for_a_worker_is_kept_and_not_in_the_cache(stack: dict[str, Any]):
    found = services(stack)
    assert found["airflow-worker"]["deploy"]["replicas"] == 2
    assert {"noeviction", "--appendonly"} <= set(found["broker"]["command"])
    assert "allkeys-lru" in found["redis"]["command"]
    url = make_secrets()["secret_files"]()["AIRFLOW__CELERY__BROKER_URL"]
    assert url.endswith("@broker:6379/0")
    distributed = compose("compose.yaml", AIRFLOW__CORE__EXECUTOR="CeleryExecutor")
    for name in ("airflow-scheduler", "airflow-worker"):
        executors = [
            s["services"][name]["environment"]["AIRFLOW__CORE__EXECUTOR"]
            for s in (stack, distributed)
        ]
        assert executors == ["LocalExecutor", "CeleryExecutor"]


def test_images_are_pinned(stack: dict[str, Any], staging: dict[str, Any]):
    for name, service in services(stack).items():
        tag = service["image"].rpartition(":")[2]
        assert re.search(r"\d|dev", tag), name
        assert "latest" not in tag, name
    assert services(stack)["postgres"]["image"].startswith("postgres:15")
    assert services(stack)["redis"]["image"].startswith("redis:7")
    assert "build" not in services(staging)["blue-1"]


def test_staging_opens_two_ports_and_runs_what_was_released(staging: dict[str, Any]):
    found = services(staging)
    public = {
        (name, port["published"], port["target"])
        for name, service in found.items()
        for port in service.get("ports", [])
        if port.get("host_ip") != "127.0.0.1"
    }
    assert public == {("proxy", "80", 8000), ("proxy", "443", 8443)}
    for name in ("blue-1", "green-2", "airflow-scheduler"):
        assert found[name]["environment"]["BOOKREC_ENVIRONMENT"] == "staging"
    airflow = ("airflow-scheduler", "airflow-worker")
    for name in ("migrate", "blue-1", "green-2", "mlflow", "proxy", *airflow):
        assert found[name]["image"].startswith(RELEASE["BOOKREC_REGISTRY"]), name
        assert found[name]["image"].endswith(":1.2.3"), name
        assert "build" not in found[name], name


def test_the_prober_of_a_service_is_the_one_of_its_image(stack: dict[str, Any]):
    """It is said twice, for a service may be started from an image of somebody else."""
    dockerfile = (DOCKER / "Dockerfile").read_text()
    for name in ("blue-1", "mlflow", "airflow-api", "proxy"):
        assert services(stack)[name]["healthcheck"]["test"][-1] in dockerfile, name


def test_the_tables_of_settings_know_every_variable(stack: dict[str, Any]):
    from pipelines.settings import Settings

    used = {
        variable.removeprefix("BOOKREC_").lower().split("__")[0]
        for service in services(stack).values()
        for variable in (service.get("environment") or {})
        if variable.startswith("BOOKREC_")
    } | {
        name.removeprefix("BOOKREC_").lower().split("__")[0]
        for name in stack["secrets"]
        if name.startswith("BOOKREC_")
    }
    assert used
    assert used <= set(Settings.model_fields)


def test_uv_is_the_one_of_the_lock():
    packages = tomllib.loads((ROOT / "uv.lock").read_text())["package"]
    (version,) = (p["version"] for p in packages if p["name"] == "uv")
    assert f"ghcr.io/astral-sh/uv:{version} " in (DOCKER / "Dockerfile").read_text()
