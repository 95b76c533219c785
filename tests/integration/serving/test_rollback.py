"""A rollback while readers are served: two workers, the answers of the old version still warm."""

import time
from pathlib import Path

import httpx
import pytest

from pipelines.registry import CHAMPION, MlflowRegistry
from pipelines.storage.database import migrate
from tests import factories
from tests.integration.serving.conftest import Serve, Served
from tests.serving_parts import admin

pytestmark = pytest.mark.integration

ANN = "/api/v1/users/ann/recommendations"
WARM = "/api/v1/admin/cache/warm"
ALLOWED_SECONDS = 5.0


def test_workers_follow_a_rollback_at_once_and_find_the_cache_warm(
    serve: Serve, registry: MlflowRegistry, postgres_url: str, tmp_path: Path
):
    migrate(postgres_url)
    for version in (1, 2):
        _registered(registry, tmp_path / str(version), version)
    registry.set_alias(CHAMPION, 1)
    with serve(BOOKREC_API__POLL_SECONDS="0.2") as served:
        served.until("/readyz", lambda a: a.status_code == 200)
        served.http.post(WARM, headers=admin())
        served.until(WARM, lambda a: a.json().get("finished", False))
        registry.set_alias(CHAMPION, 2)
        _until_all_answer(served, 2)
        wish = {"reason": "complaints", "to": 1, "force": True}
        asked = time.monotonic()
        answer = served.http.post("/api/v1/admin/models/rollback", json=wish, headers=admin())
        assert answer.status_code == 200, answer.text
        sources = _until_all_answer(served, 1)
        assert time.monotonic() - asked < ALLOWED_SECONDS
        assert set(sources) == {"cache"}
        (move,) = served.http.get("/api/v1/models/1", headers=admin()).json()["moves"]
        assert (move["from_version"], move["to_version"]) == (2, 1)


def _registered(registry: MlflowRegistry, folder: Path, version: int) -> None:
    factories.bundle([f"v{version}-{num:02}" for num in range(factories.N_BOOKS)]).save(folder)
    registry.record_run("hybrid", folder.name, params={}, metrics={}, tags={})
    assert registry.register("hybrid", folder.name, folder, {}).version == version


def _until_all_answer(served: Served, version: int) -> list[str]:
    """The sources of ten answers in a row that a version gave: nobody says which worker answers."""
    sources: list[str] = []
    deadline = time.monotonic() + 20
    while len(sources) < 10:
        # A worker keeps its connections: a new one may reach another.
        told = httpx.get(f"{served.http.base_url}{ANN}", headers=admin()).json()
        time.sleep(0.02)
        sources = [*sources, told["source"]] if told["model_version"] == version else []
        assert time.monotonic() < deadline, served.log.read_text()[-4000:]
    return sources
