"""The service as it is run: BentoML in its own processes, MLflow on PostgreSQL, Redis."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from pipelines.registry import CHAMPION, MlflowRegistry
from tests import factories
from tests.integration.serving.conftest import Serve, Served
from tests.serving_parts import admin

pytestmark = pytest.mark.integration

WARM = "/api/v1/admin/cache/warm"
ANN = "/api/v1/users/ann/recommendations"


@pytest.fixture
def served(serve: Serve) -> Iterator[Served]:
    with serve(BOOKREC_API__POLL_SECONDS="0.2") as served:
        yield served


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

    pickled = {"Content-Type": "application/vnd.bentoml+pickle"}
    for path in ("/", "/api/v1/auth/token", WARM):
        refused = served.http.post(path, content=b"\x80\x04.", headers=pickled | admin())
        assert (refused.status_code, refused.json()["status"]) == (415, 415)

    metrics = served.http.get("/metrics").text
    assert 'bookrec_recommendations_total{source="fallback",version="1"} 1.0' in metrics
    assert 'bookrec_model_info{alias="champion",version="2"} 1.0' in metrics
    for path, content_type in {
        "/nowhere": "application/problem+json",
        "/livez": "application/json",
        "/docs": "text/html; charset=utf-8",
    }.items():
        answer = served.http.get(path)
        assert answer.headers["content-type"] == content_type
        assert answer.headers["x-request-id"]

    served.http.get("/api/v1/genres", headers={"X-Request-ID": "the-last-one"})
    served.process.terminate()
    served.process.wait(20)
    _assert_one_shape(served.log.read_text(), "the-last-one")


def _assert_one_shape(log: str, request_id: str) -> None:
    """Of every line, whoever wrote it."""
    lines = [json.loads(line) for line in log.splitlines()]
    assert all({"timestamp", "level", "event", "service"} <= set(line) for line in lines)
    assert {line["service"] for line in lines} == {"serving"}
    assert {line.get("logger") for line in lines} >= {None, "bentoml.serve"}
    (asked,) = (line for line in lines if line.get("request_id") == request_id)
    assert (asked["event"], asked["status"]) == ("request_answered", 200)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "set BOOKREC_MLFLOW_TRACKING_URI or BOOKREC_DATABASE_URL"),
        (
            {
                "BOOKREC_MLFLOW_TRACKING_URI": "http://mlflow",
                "BOOKREC_ENVIRONMENT": "production",
                "BOOKREC_SECURITY__FIRST_ADMIN_PASSWORD": "admin",
            },
            "BOOKREC_SECURITY__SIGNING_KEYS",
        ),
    ],
)
def test_what_it_cannot_start_with_is_one_line(tmp_path: Path, settings: dict[str, str], said: str):
    unset = {name: value for name, value in os.environ.items() if not name.startswith("BOOKREC_")}
    ended = subprocess.run(
        [sys.executable, "-m", "bentoml", "serve", "serving.service:BookRecommender"],
        env=unset | {"BENTOML_HOME": str(tmp_path), "BENTOML_DO_NOT_TRACK": "True"} | settings,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert ended.returncode != 0
    (line,) = ended.stderr.strip().splitlines()
    assert said in line


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
