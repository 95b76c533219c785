from starlette.testclient import TestClient

from pipelines.errors import ArtifactError, RegistryError
from pipelines.registry import CONTENT
from serving.bootstrap import Components
from tests.serving_parts import Shelf

CURRENT = "/api/v1/models/current"


def test_the_model_in_service_is_described(http: TestClient):
    body = http.get(CURRENT).json()
    assert body.pop("created_at") <= body.pop("loaded_at")
    assert body == {
        "name": "bookrec-hybrid",
        "version": 1,
        "run_id": "hybrid-1",
        "aliases": ["champion"],
        "tags": {"ndcg_at_10": "0.18", CONTENT: "1"},
        "parts": {"item_knn": 0.75, "content": 0.25},
        "readers": 20,
        "books": 300,
        "last_refusal": None,
    }


def test_a_refused_champion_is_named_beside_the_model_that_stays(
    http: TestClient, components: Components, shelf: Shelf
):
    shelf.publish(ArtifactError("checksum differs"))
    components.slot.refresh()
    body = http.get(CURRENT).json()
    assert body["version"] == 1
    assert (body["last_refusal"]["version"], body["last_refusal"]["reason"]) == (
        2,
        "checksum differs",
    )


def test_without_a_model_the_refusal_is_the_answer(empty: TestClient, shelf: Shelf):
    shelf.publish(RegistryError("the files are gone"))
    empty.app.state.components.slot.refresh()
    answer = empty.get(CURRENT)
    assert answer.status_code == 503
    assert "the files are gone" in answer.json()["detail"]
