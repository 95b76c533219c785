import threading
import time

import pytest
from starlette.testclient import TestClient

from tests.fakes import FakeCache
from tests.serving_parts import Shelf, admin, bundle, client, parts

WARM = "/api/v1/admin/cache/warm"


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"Authorization": "Basic dXNlcjpwYXNz"}, 401),
        ({"Authorization": "Bearer"}, 401),
        (admin("wrong"), 401),
        (admin(""), 401),
        ({"Authorization": "Bearer töken".encode("latin-1")}, 401),
    ],
)
def test_only_the_admin_token_opens_it(
    http: TestClient, method: str, headers: dict[str, str], status: int
):
    if isinstance(headers.get("Authorization"), bytes):
        headers = {b"Authorization": headers["Authorization"]}
    answer = http.request(method, WARM, headers=headers)
    assert answer.status_code == status
    assert answer.json()["status"] == status
    assert ("www-authenticate" in answer.headers) == (status == 401)


def test_without_a_configured_token_nothing_opens_it(shelf: Shelf):
    shelf.publish(bundle())
    with client(parts(shelf, api={"admin_token": None})) as http:
        for headers in ({}, admin(""), admin("None")):
            assert http.post(WARM, headers=headers).status_code == 401


def test_a_warm_up_is_accepted_and_followed_to_its_end(http: TestClient):
    begun = http.post(WARM, headers=admin())
    assert begun.status_code == 202
    assert (begun.json()["version"], begun.json()["total"]) == (1, 20)
    state = _finished(http)
    assert (state["done"], state["outcome"]) == (20, "complete")
    assert http.get("/api/v1/users/20/recommendations").json()["source"] == "cache"


def test_it_warms_the_champion_of_this_moment(http: TestClient, shelf: Shelf):
    shelf.publish(bundle(readers=30))
    begun = http.post(WARM, headers=admin()).json()
    assert (begun["version"], begun["total"]) == (2, 30)
    assert http.get("/api/v1/models/current").json()["version"] == 2


def test_the_first_champion_is_picked_up(empty: TestClient, shelf: Shelf):
    shelf.publish(bundle())
    assert empty.post(WARM, headers=admin()).status_code == 202


def test_without_a_model_there_is_nothing_to_warm(empty: TestClient):
    assert empty.post(WARM, headers=admin()).status_code == 503


def test_without_a_cache_there_is_nothing_to_warm(http: TestClient, cache: FakeCache):
    cache.failure = "connection refused"
    answer = http.post(WARM, headers=admin())
    assert (answer.status_code, answer.json()["type"]) == (503, "urn:bookrec:problem:no-cache")


def test_a_registry_that_hangs_holds_up_no_reader(
    http: TestClient, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
):
    answer = threading.Event()
    monkeypatch.setattr("serving.gateway.routes.admin.LOOK_SECONDS", 0.05)
    monkeypatch.setattr("serving.gateway.edge.ANSWER_SECONDS", 1)
    shelf.registry.by_alias = lambda _: answer.wait(5) and None
    statuses = [http.post(WARM, headers=admin()).status_code for _ in range(40)]
    assert statuses == [503] * 40
    assert http.get("/api/v1/users/nobody/recommendations").status_code == 200
    assert http.get(WARM, headers=admin()).status_code == 404
    answer.set()


def test_before_the_first_there_is_nothing_to_tell(http: TestClient):
    assert http.get(WARM, headers=admin()).status_code == 404


def _finished(http: TestClient) -> dict:
    deadline = time.monotonic() + 5
    while True:
        state = http.get(WARM, headers=admin()).json()
        if state["finished"]:
            return state
        assert time.monotonic() < deadline
        time.sleep(0.01)


KEPT = "/api/v1/admin/cache"


def test_it_is_told_what_is_kept_and_how_often_it_was_found(http: TestClient, cache: FakeCache):
    for user_id in (3, 3, 4):
        http.get(f"/api/v1/users/{user_id}/recommendations")
    told = http.get(KEPT, headers=admin()).json()
    lists = [value for key, value in cache.values.items() if ":top-" in key]
    assert (told["version"], told["breaker"], told["trouble"]) == (1, "closed", None)
    assert told["redis"] == {
        "entries": 2,
        "n_bytes": sum(map(len, lists)),
        "hits": 0,
        "misses": 2,
        "ttl_seconds": 86_400,
    }
    worker = told["worker"]
    assert (worker["entries"], worker["hits"], worker["misses"]) == (2, 1, 2)
    assert worker["n_bytes"] > 0


def test_while_redis_is_away_the_rest_is_told(http: TestClient, cache: FakeCache):
    cache.failure = "connection refused"
    told = http.get(KEPT, headers=admin()).json()
    assert (told["redis"], told["breaker"], told["trouble"]) == (None, "open", cache.failure)
    assert told["worker"]["entries"] == 0
    assert http.delete(KEPT, headers=admin()).status_code == 503


@pytest.mark.parametrize(("asked", "left"), [({}, []), ({"user_id": "3"}, ["4"])])
def test_lists_of_all_or_of_one_are_dropped_and_made_anew(
    http: TestClient, cache: FakeCache, asked: dict[str, str], left: list[str]
):
    heard = {"bookrec:bookrec-hybrid:v:recent:{9}": b"heard"}
    cache.values |= heard
    first = {u: http.get(f"/api/v1/users/{u}/recommendations").json() for u in "34"}
    dropped = http.delete(KEPT, params=asked, headers=admin())
    assert (dropped.status_code, dropped.json()) == (200, {"dropped": 2 - len(left)})
    kept = [key for key in cache.values if ":top-" in key]
    assert [key[-2] for key in kept] == left
    assert heard.items() <= cache.values.items()
    for user_id, before in first.items():
        again = http.get(f"/api/v1/users/{user_id}/recommendations").json()
        assert again["items"] == before["items"]
        assert again["source"] == ("cache" if user_id in left else "model")
