"""Browsing sessions over HTTP, remembered in Redis and nowhere else."""

import hashlib
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from pydantic import SecretStr
from starlette.testclient import TestClient

from tests import factories
from tests.integration.serving.conftest import OwnRedis
from tests.serving_parts import Shelf, admin, bundle, client, parts, redis_caches

pytestmark = pytest.mark.integration

URL = "/api/v1/sessions"
CURRENT = f"{URL}/current"


def service(redis_url: str, model: Any = None, **changes: Any) -> TestClient:
    shelf = Shelf()
    shelf.publish(model or factories.bundle())
    return client(parts(shelf, *redis_caches(redis_url), redis_url=SecretStr(redis_url), **changes))


@pytest.fixture
def http(redis_url: str) -> Iterator[TestClient]:
    with service(redis_url, browsing={"books": 3, "seconds": 600}) as http:
        yield http


@pytest.fixture
def stored(redis_url: str) -> Iterator["redis.Redis[bytes]"]:
    with redis.Redis.from_url(redis_url) as stored:
        yield stored


def begun(http: TestClient) -> dict[str, str]:
    """The header of a new session."""
    answer = http.post(URL)
    assert answer.status_code == 201, answer.text
    assert answer.json()["expires_in"] == 600
    return {"X-Session": answer.json()["token"]}


def name_of(session: dict[str, str]) -> str:
    return hashlib.sha256(session["X-Session"].encode()).hexdigest()[:32]


def look(http: TestClient, session: dict[str, str], *events: dict[str, Any]) -> Any:
    return http.post(f"{CURRENT}/events", json={"events": list(events)}, headers=session)


def listed(http: TestClient, session: dict[str, str]) -> Any:
    return http.get(f"{CURRENT}/recommendations", params={"n": 3}, headers=session)


def test_what_a_visitor_looked_at_makes_their_very_next_list_their_own(http: TestClient):
    mine, other = begun(http), begun(http)
    before = listed(http, mine).json()
    assert before["source"] == "fallback"
    told = look(http, mine, {"book_id": 10}, {"book_id": 20, "kind": "rating", "rating": 5})
    assert (told.status_code, told.json()) == (200, {"unknown": []})
    after = listed(http, mine).json()
    same = http.post(
        "/api/v1/recommendations", json={"history": [10, {"book_id": 20, "rating": 5}], "n": 3}
    ).json()
    assert after["source"] == "model"
    assert after["items"] == same["items"] != before["items"]
    assert listed(http, other).json()["items"] == before["items"]


def test_the_last_books_are_remembered_each_once_and_unknown_ones_not(
    http: TestClient, stored: "redis.Redis[bytes]"
):
    session = begun(http)
    assert look(http, session, {"book_id": 10}, {"book_id": "nowhere"}).json() == {
        "unknown": ["nowhere"]
    }
    look(http, session, {"book_id": 20}, {"book_id": 30}, {"book_id": 10})
    look(http, session, {"book_id": 40, "kind": "dismissal"})
    kept = stored.lrange(f"bookrec:browsing:{name_of(session)}", 0, -1)
    assert kept == [b'{"book_id":"30"}', b'{"book_id":"10"}', b'{"book_id":"40","dismissed":true}']


def test_a_session_lives_while_it_is_used_under_no_name_that_opens_it(
    http: TestClient, stored: "redis.Redis[bytes]"
):
    session = begun(http)
    key = f"bookrec:browsing:{name_of(session)}"
    for use in (lambda: look(http, session, {"book_id": 10}), lambda: listed(http, session)):
        stored.expire(key, 5)
        assert use().status_code == 200
        assert 590 < stored.ttl(key) <= 600
    assert session["X-Session"].encode() not in b"".join(
        key + b"".join(stored.lrange(key, 0, -1)) for key in stored.scan_iter("bookrec:browsing:*")
    )
    assert listed(http, {"X-Session": name_of(session)}).status_code == 404


def test_a_session_that_was_ended_is_not_brought_back(http: TestClient):
    session = begun(http)
    look(http, session, {"book_id": 10})
    for _ in "twice":
        assert http.delete(CURRENT, headers=session).status_code == 204
    for answer in (look(http, session, {"book_id": 20}), listed(http, session)):
        assert answer.status_code == 404
        assert answer.json()["type"] == "urn:bookrec:problem:no-session"
        assert session["X-Session"] not in answer.text


def test_an_administrator_ends_one_by_its_name_and_all(http: TestClient):
    first, second, third = begun(http), begun(http), begun(http)
    revoke = f"/api/v1/admin/sessions/{name_of(first)}"
    assert http.delete(revoke, headers=first).status_code == 401
    assert http.delete(revoke, headers=admin()).status_code == 204
    assert http.delete(revoke, headers=admin()).status_code == 404
    assert [listed(http, s).status_code for s in (first, second)] == [404, 200]
    assert http.delete("/api/v1/admin/sessions", headers=admin()).status_code == 204
    assert [listed(http, s).status_code for s in (second, third)] == [404, 404]


@pytest.mark.parametrize(
    "event",
    [
        {"book_id": 10, "kind": "rating", "rating": 6},
        {"book_id": 10, "kind": "rating"},
        {"book_id": 10, "rating": 3},
        {"book_id": "a\0b"},
        {"book_id": 10, "user_id": 7},
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_remembered(
    redis_url: str, stored: "redis.Redis[bytes]", event: dict[str, Any]
):
    with service(redis_url, bundle(), browsing={"seconds": 600}) as http:
        session = begun(http)
        assert look(http, session, {"book_id": 20}, event).status_code == 422
    assert stored.lrange(f"bookrec:browsing:{name_of(session)}", 0, -1) == [b""]


def test_without_a_token_nothing_is_told(http: TestClient):
    assert listed(http, {}).status_code == 422
    assert listed(http, {"X-Session": "made-up"}).status_code == 404


def test_while_redis_is_away_the_answer_says_what_to_do_instead(own_redis: OwnRedis):
    with service(own_redis.url, browsing={"seconds": 600}) as http:
        session = begun(http)
        own_redis.kill()
        for answer in (http.post(URL), listed(http, session), look(http, session, {"book_id": 10})):
            assert answer.status_code == 503
            assert answer.json()["type"] == "urn:bookrec:problem:no-sessions"
            assert "POST /api/v1/recommendations" in answer.json()["detail"]
        instead = http.post("/api/v1/recommendations", json={"history": [10]})
        assert instead.status_code == 200
