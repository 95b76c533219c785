"""Answers that a worker gives again."""

from dataclasses import replace

import pytest
from starlette.testclient import TestClient

from pipelines.registry import CHAMPION
from serving.bootstrap import Components
from serving.caching.local_cache import LocalCache
from tests.fakes import FakeBundle
from tests.serving_parts import Shelf, bundle, client, parts

LISTS = "/api/v1/users/3/recommendations"


@pytest.fixture
def model(components: Components) -> FakeBundle:
    """What answers, and remembers how often it was asked."""
    asked: FakeBundle = components.slot.current.bundle
    asked.questions.clear()
    return asked


def local_hits(components: Components) -> float:
    return components.metrics.cache_results().get("local", 0)


def test_the_same_question_is_answered_again_under_an_id_of_its_own(
    http: TestClient, components: Components, model: FakeBundle
):
    first, second = (http.get(LISTS, params={"n": 3}) for _ in range(2))
    assert model.questions == ["3"]
    assert local_hits(components) == 1
    assert second.headers["content-type"] == first.headers["content-type"]
    one, other = first.json(), second.json()
    assert one.pop("recommendation_id") != other.pop("recommendation_id")
    assert (one.pop("source"), other.pop("source")) == ("model", "cache")
    assert one == other


@pytest.mark.parametrize("path", ["/api/v1/books/popular?n=3", "/api/v1/books/7"])
def test_what_is_for_nobody_is_remembered_too(http: TestClient, components: Components, path: str):
    first, second = (http.get(path).json() for _ in range(2))
    assert local_hits(components) == 1
    first.pop("recommendation_id", None)
    second.pop("recommendation_id", None)
    assert first == second


def test_another_question_is_another_answer(http: TestClient):
    lengths = [len(http.get(LISTS, params={"n": n}).json()["items"]) for n in (2, 5, 2, 5)]
    assert lengths == [2, 5, 2, 5]


def test_whoever_was_heard_of_gets_a_new_answer(
    http: TestClient, components: Components, cache, model: FakeBundle
):
    http.get(LISTS)
    cache.values.clear()
    components.generations.renew("3")
    http.get(LISTS)
    assert model.questions == ["3", "3"]
    http.get(LISTS)
    assert local_hits(components) == 1


def test_a_new_champion_answers_at_once(http: TestClient, components: Components, shelf: Shelf):
    assert http.get(LISTS).json()["model_version"] == 1
    shelf.publish(bundle(title="Volume"))
    components.slot.refresh()
    told = http.get(LISTS).json()
    assert (told["model_version"], told["items"][0]["title"]) == (2, "Volume 3")


def test_what_one_may_ask_is_not_given_to_another(http: TestClient):
    assert http.get(LISTS).status_code == 200
    elsewhere = TestClient(http.app, base_url="http://localhost", client=("203.0.113.9", 50_000))
    answer = elsewhere.get(LISTS)
    assert answer.status_code == 401
    assert "items" not in answer.json()


@pytest.mark.parametrize("path", ["/api/v1/books/999999", f"{LISTS}?n=0", "/api/v1/models/current"])
def test_errors_and_what_may_change_are_not_remembered(
    http: TestClient, components: Components, path: str
):
    for _ in range(2):
        http.get(path)
    assert local_hits(components) == 0
    assert len(components.local_cache) == 0


def test_an_answer_from_another_model_than_was_in_service_is_not_kept(
    http: TestClient, components: Components, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
):
    """A swap on the way to the model, and back: the first version's lists are its own."""
    recommend = components.recommendations.recommend

    async def swapped(*args, **options):
        shelf.publish(bundle(title="Volume"))
        components.slot.refresh()
        return await recommend(*args, **options)

    monkeypatch.setattr(components.recommendations, "recommend", swapped)
    assert http.get(LISTS).json()["model_version"] == 2
    monkeypatch.undo()
    shelf.registry.set_alias(CHAMPION, 1)
    components.slot.refresh()
    assert http.get(LISTS).json()["model_version"] == 1


def test_a_reader_whose_id_holds_a_slash_has_a_generation(http: TestClient, components: Components):
    path = "/api/v1/users/a%2Fb/recommendations"
    http.get(path)
    components.generations.renew("a/b")
    http.get(path)
    assert local_hits(components) == 0


def test_nothing_is_remembered_where_there_is_no_room(shelf: Shelf):
    shelf.publish(bundle())
    components = parts(shelf)
    components = replace(components, local_cache=LocalCache(0, 60))
    with client(components) as http:
        for _ in range(2):
            http.get(LISTS)
    assert local_hits(components) == 0
