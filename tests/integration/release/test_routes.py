"""Versions and rollbacks over HTTP, on real PostgreSQL and MLflow."""

from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient

from pipelines.errors import RegistryError
from serving.bootstrap import assemble
from serving.model.slot import ModelSlot
from tests.fakes import FakeCache
from tests.integration.release.conftest import Releases
from tests.serving_parts import admin, client, settings

pytestmark = pytest.mark.integration

MODELS = "/api/v1/models"
ROLLBACK = "/api/v1/admin/models/rollback"


@pytest.fixture
def http(releases: Releases) -> Iterator[TestClient]:
    known = releases.settings
    chosen = known.model_copy(update={n: getattr(settings(), n) for n in ("api", "security")})
    slot = ModelSlot(releases.registry, known.home / "models")
    parts = assemble(chosen, slot, FakeCache(), FakeCache())
    with client(parts, headers=admin()) as http:
        yield http


def audited(http: TestClient) -> list[tuple[str, str, str]]:
    entries = http.get("/api/v1/admin/audit").json()
    return [(e["action"], e["target"], e["outcome"]) for e in entries]


def test_versions_are_told_with_what_was_decided_and_done(http: TestClient, releases: Releases):
    releases.released(2)
    releases.register(accepted=False)
    releases.register(accepted=None)
    listed = http.get(MODELS).json()
    assert [(v["version"], v["aliases"], v["accepted"]) for v in listed] == [
        (4, [], None), (3, [], False), (2, ["champion"], True), (1, [], True),
    ]  # fmt: skip
    assert {v["ndcg_at_10"] for v in listed} == {0.2}
    told = http.get(f"{MODELS}/1").json()
    assert told["decision"]["reasons"] == ["passed: better"]
    assert told["metrics"] == {"ndcg_at_10": 0.2}
    assert [(m["from_version"], m["to_version"]) for m in told["moves"]] == [(1, 2), (None, 1)]
    assert http.get(f"{MODELS}/4").json()["decision"] is None


def test_a_rollback_is_done_and_on_record_under_the_name_of_who_asked(
    http: TestClient, releases: Releases
):
    releases.released(2)
    answer = http.post(ROLLBACK, json={"reason": "complaints"})
    assert answer.status_code == 200
    move = answer.json()
    assert (move["from_version"], move["to_version"], move["who"]) == (2, 1, "operator:admin-token")
    assert move["action"] == "rollback"
    assert releases.champion == 1
    assert audited(http) == [("model.rollback", "version:before", "done")]
    refused = http.post(ROLLBACK, json={"reason": "again", "to": 1})
    assert (refused.status_code, refused.json()["detail"]) == (
        409, "version 1 is champion already",
    )  # fmt: skip
    assert audited(http)[0] == ("model.rollback", "version:1", "failed")


def test_what_there_is_not_is_404_and_what_cannot_be_is_422(http: TestClient, releases: Releases):
    releases.released(1)
    assert http.get(f"{MODELS}/9").status_code == 404
    assert http.post(ROLLBACK, json={"reason": "x", "to": 9}).status_code == 404
    assert http.get(f"{MODELS}/0").status_code == 422
    assert http.get(f"{MODELS}/{2**40}").status_code == 422
    for body in ({}, {"reason": "  "}, {"reason": "x", "to": 0}, {"reason": "x", "version": 1}):
        assert http.post(ROLLBACK, json=body).status_code == 422
    assert releases.champion == 1


def test_a_registry_that_is_away_is_503(
    http: TestClient, releases: Releases, monkeypatch: pytest.MonkeyPatch
):
    def fail() -> None:
        raise RegistryError("connection to 10.0.0.7 refused")

    monkeypatch.setattr(releases.registry, "versions", fail)
    answer = http.get(MODELS)
    assert (answer.status_code, answer.json()["type"]) == (503, "urn:bookrec:problem:no-registry")
    assert "10.0.0.7" not in answer.text
