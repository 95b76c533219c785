"""Debian's Prometheus with the files of `docker/monitoring`, which looks more often than ours."""

import re
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.deployment import install_debian
from tests.monitoring import MONITORING
from tests.servers import free_port

PACKAGES = ("prometheus", "prometheus-node-exporter")
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


def promtool(*arguments: str) -> str:
    """What Debian's promtool says of our files; it has to accept them."""
    install_debian("promtool", *PACKAGES)
    ended = subprocess.run(
        ["promtool", *arguments], cwd=MONITORING, capture_output=True, text=True, check=False
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
def node_exporter(folder: Path) -> Iterator[str]:
    """Start the one of Debian; gives its address."""
    install_debian("prometheus-node-exporter", *PACKAGES)
    address = f"127.0.0.1:{free_port()}"
    command = ["prometheus-node-exporter", f"--web.listen-address={address}"]
    with _running(command, folder / "node.log"):
        yield address


@contextmanager
def _running(command: list[str], log: Path) -> Iterator[None]:
    with log.open("w") as stream:
        process = subprocess.Popen(command, stdout=stream, stderr=subprocess.STDOUT)
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
