"""Prometheus and what stands around it, of Debian, with our files made faster."""

import json
import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import make_url

from tests.deployment import install_debian
from tests.monitoring import MONITORING
from tests.servers import free_port

PACKAGES = (
    *("prometheus", "prometheus-alertmanager", "prometheus-node-exporter"),
    *("prometheus-postgres-exporter", "prometheus-redis-exporter"),
)
NOBODY = "127.0.0.1:1"


@dataclass(frozen=True)
class Prometheus:
    """A running one."""

    http: httpx.Client
    log: Path

    def ask(self, path: str, **params: str) -> Any:
        """The data of an answer of its API."""
        return self.http.get(f"/api/v1/{path}", params=params).raise_for_status().json()["data"]

    def firing(self) -> set[str]:
        """The names of alerts that fire."""
        alerts = self.ask("alerts")["alerts"]
        return {a["labels"]["alertname"] for a in alerts if a["state"] == "firing"}

    def until(self, holds: Callable[[], bool]) -> None:
        """Wait for it, or show the log and fail."""
        deadline = time.monotonic() + 20
        while not holds():
            assert time.monotonic() < deadline, self.log.read_text()[-4000:]
            time.sleep(0.1)


def accepts(program: str, *arguments: str) -> str:
    """What `promtool` or `amtool` says of our files; it has to accept them."""
    install_debian(program, *PACKAGES)
    ended = subprocess.run(
        [program, *arguments], cwd=MONITORING, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


@contextmanager
def prometheus(folder: Path, targets: Mapping[str, str]) -> Iterator[Prometheus]:
    """
    Start it.

    Args:
        folder: Empty; for configuration and data.
        targets: Addresses that stand for those of the configuration; nobody answers for others.
    """
    install_debian("prometheus", *PACKAGES)
    port = free_port()
    _write(folder, {**targets, "127.0.0.1:9090": f"127.0.0.1:{port}"})
    log = folder / "log"
    command = [
        "prometheus",
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with _running(command, log), httpx.Client(base_url=f"http://127.0.0.1:{port}") as http:
        found = Prometheus(http, log)
        found.until(lambda: _is_ready(http))
        yield found


@contextmanager
def exporters(folder: Path, postgres_url: str, redis_url: str) -> Iterator[dict[str, str]]:
    """Those of this machine, of PostgreSQL and of Redis; by address in our files, their own."""
    server = make_url(postgres_url)
    passwords = folder / "redis_exporter.json"
    address = "redis://" + redis_url.rpartition("@")[2].partition("/")[0]
    passwords.write_text(json.dumps({address: make_url(redis_url).password or ""}))
    data_source = {
        "DATA_SOURCE_URI": f"{server.host}:{server.port}/postgres?sslmode=disable",
        "DATA_SOURCE_USER": server.username or "",
        "DATA_SOURCE_PASS": server.password or "",
    }
    redis = [f"--redis.addr={address}", f"--redis.password-file={passwords}"]
    with (
        _exporter("node", folder) as of_node,
        _exporter("postgres", folder, **data_source) as of_postgres,
        _exporter("redis", folder, *redis) as of_redis,
    ):
        yield {
            "node-exporter:9100": of_node,
            "postgres-exporter:9187": of_postgres,
            "redis-exporter:9121": of_redis,
        }


@contextmanager
def _exporter(name: str, folder: Path, *options: str, **variables: str) -> Iterator[str]:
    program, address = f"prometheus-{name}-exporter", f"127.0.0.1:{free_port()}"
    install_debian(program, *PACKAGES)
    command = [program, f"--web.listen-address={address}", *options]
    with _running(command, folder / f"{name}.log", **variables):
        yield address


@contextmanager
def alertmanager(folder: Path, webhook: str) -> Iterator[str]:
    """Start it with the file that sends alarms on; gives its address."""
    install_debian("prometheus-alertmanager", *PACKAGES)
    config, address = folder / "webhook.yml", f"127.0.0.1:{free_port()}"
    text = re.sub(r"_(wait|interval): \d+[smh]", r"_\1: 200ms", sending_to(webhook))
    config.write_text(text)
    command = ["prometheus-alertmanager", f"--config.file={config}", "--cluster.listen-address="]
    command += [f"--storage.path={folder / 'alarms'}", f"--web.listen-address={address}"]
    with _running(command, folder / "alertmanager.log"):
        yield address


def sending_to(webhook: str) -> str:
    """Our `alertmanager/webhook.yml`; Debian's knows no file yet that holds the address."""
    text = (MONITORING / "alertmanager" / "webhook.yml").read_text()
    in_file = "url_file: /run/secrets/alert_webhook"
    assert text.count(in_file) == 1
    return text.replace(in_file, f"url: {webhook}")


@contextmanager
def _running(command: list[str], log: Path, **variables: str) -> Iterator[None]:
    with log.open("w") as stream:
        process = subprocess.Popen(
            command, env=os.environ | variables, stdout=stream, stderr=subprocess.STDOUT
        )
    try:
        yield
    finally:
        process.terminate()
        process.wait(20)


def _is_ready(http: httpx.Client) -> bool:
    try:
        return http.get("/-/ready").is_success
    except httpx.TransportError:
        return False


def _write(folder: Path, targets: Mapping[str, str]) -> None:
    """Our files: other addresses, and seconds for minutes."""
    text = (MONITORING / "prometheus.yml").read_text()
    text = re.sub(r'"([\w.-]+:\d+)"', lambda m: f'"{targets.get(m[1], NOBODY)}"', text)
    text = re.sub(r"_interval: \d+s", "_interval: 200ms", text)
    (folder / "prometheus.yml").write_text(text)
    rules = (MONITORING / "alerts.yml").read_text()
    rules = re.sub(r"for: \d+[mh]", "for: 1s", rules)
    (folder / "alerts.yml").write_text(rules.replace("[1m]", "[1s]"))
