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
