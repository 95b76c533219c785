"""The service as it is run: BentoML in its own processes, MLflow on PostgreSQL, Redis."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from pipelines.registry import CHAMPION, MlflowRegistry
from tests import factories
from tests.servers import free_port
from tests.serving_parts import ADMIN_TOKEN, admin

pytestmark = pytest.mark.integration

WARM = "/api/v1/admin/cache/warm"
ANN = "/api/v1/users/ann/recommendations"


@dataclass
class Served:
    http: httpx.Client
    log: Path

    def until(self, path: str, holds: Callable[[httpx.Response], bool]) -> httpx.Response:
        """Ask until it holds, or show the log and fail."""
        deadline = time.monotonic() + 30
        while True:
            try:
                answer = self.http.get(path, headers=admin())
                if holds(answer):
                    return answer
            except httpx.TransportError:
                pass
            assert time.monotonic() < deadline, self.log.read_text()[-4000:]
            time.sleep(0.1)


@pytest.fixture
def served(
    postgres_url: str,
    redis_url: str,
    registry: MlflowRegistry,  # noqa: ARG001 - prepared before anyone asks it
    tmp_path: Path,
) -> Iterator[Served]:
    port = free_port()
    log = tmp_path / "serve.log"
    environment = os.environ | {
        "BENTOML_HOME": str(tmp_path / "bentoml"),
        "BENTOML_DO_NOT_TRACK": "True",
        "BOOKREC_HOME": str(tmp_path / "home"),
        "BOOKREC_DATABASE_URL": postgres_url,
        "BOOKREC_REDIS_URL": redis_url,
        "BOOKREC_API__ADMIN_TOKEN": ADMIN_TOKEN,
        "BOOKREC_API__POLL_SECONDS": "0.2",
        "BOOKREC_API__WORKERS": "2",
    }
    command = [sys.executable, "-m", "bentoml", "serve", "serving.service:BookRecommender"]
    with log.open("w") as stream:
        process = subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--port", str(port)],
            env=environment,
            stdout=stream,
            stderr=subprocess.STDOUT,
        )
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10) as http:
        yield Served(http, log)
    process.terminate()
    assert process.wait(20) == 0


def test_from_no_champion_to_a_refused_one(
    served: Served, registry: MlflowRegistry, tmp_path: Path
):
    body = served.until("/readyz", lambda a: a.status_code == 503).json()
    assert body["checks"]["redis"]["ok"]
    assert "run the pipeline first" in body["checks"]["model"]["detail"]

    _promote(registry, _saved(tmp_path / "first"))
    served.until("/readyz", lambda a: a.status_code == 200)
    begun = served.http.post(WARM, headers=admin())
    assert begun.status_code == 202
    state = served.until(WARM, lambda a: a.json().get("finished", False)).json()
    assert (state["outcome"], state["done"], state["total"]) == ("complete", 5, 5)
    answer = served.http.get(ANN).json()
    assert (answer["model_version"], answer["source"], answer["user_id"]) == (1, "cache", "ann")
    assert answer["items"][0] == {"rank": 1, "book_id": 30} | answer["items"][0]  # The Grey Sea
    assert served.http.get("/api/v1/users/nobody/recommendations").json()["source"] == "fallback"
    assert served.http.get("/api/v1/books/30").json()["title"] == "The Grey Sea"

    _promote(registry, _saved(tmp_path / "second", [f"b{n:02}" for n in range(12)]))
    _until_all_workers(served, lambda: _version(served) == 2)
    assert served.http.get(ANN).json()["items"][0]["book_id"] == "b02"

    _promote(registry, _corrupt(_saved(tmp_path / "third")))
    refused = served.until("/api/v1/models/current", lambda a: bool(a.json()["last_refusal"]))
    assert (refused.json()["version"], refused.json()["last_refusal"]["version"]) == (2, 3)
    assert _version(served) == 2

    metrics = served.http.get("/metrics").text
    assert 'bookrec_recommendations_total{source="fallback"} 1.0' in metrics
    assert 'bookrec_model_info{version="2"} 1.0' in metrics
    for path, content_type in {
        "/nowhere": "application/problem+json",
        "/livez": "application/json",
        "/docs": "text/html; charset=utf-8",
    }.items():
        answer = served.http.get(path)
        assert answer.headers["content-type"] == content_type
        assert answer.headers["x-request-id"]


def test_without_addresses_it_ends_with_one_line(tmp_path: Path):
    unset = {name: value for name, value in os.environ.items() if not name.startswith("BOOKREC_")}
    ended = subprocess.run(
        [sys.executable, "-m", "bentoml", "serve", "serving.service:BookRecommender"],
        env=unset | {"BENTOML_HOME": str(tmp_path), "BENTOML_DO_NOT_TRACK": "True"},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert ended.returncode != 0
    (line,) = ended.stderr.strip().splitlines()
    assert "set BOOKREC_MLFLOW_TRACKING_URI or BOOKREC_DATABASE_URL" in line


def _promote(registry: MlflowRegistry, bundle: Path) -> None:
    registry.record_run("hybrid", bundle.name, params={}, metrics={}, tags={})
    version = registry.register("hybrid", bundle.name, bundle, {"ndcg_at_10": "0.5"})
    registry.set_alias(CHAMPION, version.version)


def _saved(folder: Path, book_ids: list[object] | None = None) -> Path:
    factories.bundle(book_ids).save(folder)
    return folder


def _corrupt(bundle: Path) -> Path:
    array = next(bundle.rglob("*.npy"))
    content = bytearray(array.read_bytes())
    content[-1] ^= 0xFF
    array.write_bytes(content)
    return bundle


def _version(served: Served) -> Any:
    # A worker keeps its connections: a new one may reach another.
    return httpx.get(f"{served.http.base_url}{ANN}").json()["model_version"]


def _until_all_workers(served: Served, holds: Callable[[], bool]) -> None:
    """Ask until ten answers in a row agree: nobody says which worker answers."""
    deadline = time.monotonic() + 20
    in_a_row = 0
    while in_a_row < 10:
        in_a_row = in_a_row + 1 if holds() else 0
        assert time.monotonic() < deadline, served.log.read_text()[-4000:]
