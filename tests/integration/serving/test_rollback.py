"""A rollback while readers are served: two workers, the answers of the old version still warm."""

import time
from pathlib import Path

import httpx
import pytest

from pipelines.registry import CHAMPION, MlflowRegistry
from pipelines.release.moving import Standing, carry_out, turn
from pipelines.storage.alias_moves import AliasMoves
from pipelines.storage.database import migrate
from pipelines.storage.unit_of_work import unit_of_work
from tests import factories
from tests.integration.serving.conftest import Serve, Served
from tests.serving_parts import admin

pytestmark = pytest.mark.integration

MODEL = "bookrec-hybrid"
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


def test_a_champion_that_no_worker_can_serve_is_taken_back_by_one_of_them(
    serve: Serve, registry: MlflowRegistry, postgres_url: str, tmp_path: Path
):
    migrate(postgres_url)
    for version in (1, 2):
        _registered(registry, tmp_path / str(version), version)
    array = next(registry.fetch(2, tmp_path / "models").rglob("*.npy"))
    array.write_bytes(array.read_bytes()[:-1] + b"\xff")
    _promoted(registry, postgres_url, 1)
    with serve(BOOKREC_API__POLL_SECONDS="0.2") as served:
        served.until("/readyz", lambda a: a.status_code == 200)
        _until_all_answer(served, 1)
        _promoted(registry, postgres_url, 2)
        told = served.until("/api/v1/models/2", lambda a: len(a.json()["moves"]) == 2).json()
        move = told["moves"][0]
        assert (move["action"], move["to_version"]) == ("rollback", 1)
        assert (move["who"], "checksum" in move["why"]) == ("automatic:service", True)
        _until_all_answer(served, 1)
        taken = 'bookrec_automatic_rollbacks_total{cause="refused"} 1.0'
        served.until("/metrics", lambda a: taken in a.text)
        served.until("/readyz", lambda a: "refused" not in a.text)
    assert served.log.read_text().count('"champion_taken_back"') == 1
    assert registry.by_alias(CHAMPION).version == 1


def _promoted(registry: MlflowRegistry, url: str, version: int) -> None:
    with turn(url) as session:
        with unit_of_work(url) as first:
            before = Standing.of(first, registry, MODEL).champion
            moves = AliasMoves(first, MODEL, CHAMPION)
            move = moves.record("promote", before, version, who="run:one", why="better")
        carry_out(session, registry, MODEL, move)


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
        # One that has only just started says that it has no model yet.
        sources = [*sources, told["source"]] if told.get("model_version") == version else []
        assert time.monotonic() < deadline, served.log.read_text()[-4000:]
    return sources
