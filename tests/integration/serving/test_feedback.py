"""Feedback over HTTP, kept in PostgreSQL and felt through Redis."""

from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from pydantic import SecretStr
from starlette.testclient import TestClient

from pipelines.storage.database import connect, migrate
from pipelines.storage.erasures import ErasureKey, ErasureRepository
from pipelines.storage.unit_of_work import unit_of_work
from tests.serving_parts import Shelf, bundle, client, parts, redis_caches, settings

pytestmark = pytest.mark.integration

URL = "/api/v1/feedback"
LIBRARY = ""
"""Of the fake model."""


@pytest.fixture
def database(postgres_url: str) -> str:
    migrate(postgres_url)
    return postgres_url


def service(database: str | None, redis_url: str, **options: Any) -> TestClient:
    shelf = Shelf()
    shelf.publish(bundle())
    changes = {"database_url": SecretStr(database)} if database else {}
    return client(parts(shelf, *redis_caches(redis_url), **changes), **options)


@pytest.fixture
def http(database: str, redis_url: str) -> Iterator[TestClient]:
    with service(database, redis_url) as http:
        yield http


def event(**changes: Any) -> dict[str, Any]:
    return {"user_id": 7, "book_id": 12, "kind": "read"} | changes


def tell(http: TestClient, *events: dict[str, Any], key: str | None = None):
    headers = {"Idempotency-Key": key} if key else {}
    return http.post(URL, json={"events": list(events)}, headers=headers)


def kept(database: str) -> list[tuple[Any, ...]]:
    with connect(database).connect() as connection:
        query = "select user_id, book_id, kind, rating from feedback order by number"
        return [tuple(row) for row in connection.execute(sa.text(query))]


def books(http: TestClient, user_id: int | str = 7) -> list[int]:
    answer = http.get(f"/api/v1/users/{user_id}/recommendations", params={"n": 3})
    assert answer.status_code == 200, answer.text
    return [item["book_id"] for item in answer.json()["items"]]


def test_events_are_kept_and_the_very_next_list_knows_of_them(http: TestClient, database: str):
    before = books(http)
    assert books(http) == before  # from the cache
    answer = tell(http, event(), event(kind="rating", rating=5, book_id=13), event(kind="click"))
    assert answer.status_code == 202, answer.text
    assert answer.json() == {"accepted": 3, "repeated": 0, "unknown_books": []}
    assert kept(database) == [
        ("7", "12", "read", None),
        ("7", "13", "rating", 5.0),
        ("7", "12", "click", None),
    ]
    changed = books(http)
    assert changed != before
    assert books(http) == changed
    assert books(http, 8) != changed


def test_many_readers_are_heard_of_in_one_request(http: TestClient):
    before = {user: books(http, user) for user in (7, 8, 9)}
    tell(http, event(user_id=7), event(user_id=8))
    after = {user: books(http, user) for user in (7, 8, 9)}
    assert [user for user in before if before[user] != after[user]] == [7, 8]
    batch = http.post("/api/v1/recommendations/batch", json={"user_ids": [7, 8, 9], "n": 3})
    lists = [[item["book_id"] for item in told["items"]] for told in batch.json()["lists"]]
    assert lists == [*after.values()]


def test_a_stranger_gets_personal_books_after_the_first_event(http: TestClient):
    stranger = "/api/v1/users/stranger/recommendations"
    assert http.get(stranger).json()["source"] == "fallback"
    tell(http, event(user_id="stranger"))
    assert http.get(stranger).json()["source"] == "model"


def test_the_same_request_under_the_same_key_changes_nothing(http: TestClient, database: str):
    events = [event(), event(book_id=14)]
    assert tell(http, *events, key="order-1").json()["accepted"] == 2
    again = tell(http, *events, key="order-1")
    assert again.json() == {"accepted": 0, "repeated": 2, "unknown_books": []}
    assert len(kept(database)) == 2


def test_a_key_is_not_taken_for_another_request(http: TestClient, database: str):
    tell(http, event(), key="order-1")
    answer = tell(http, event(book_id=15), event(book_id=16), key="order-1")
    assert (answer.status_code, answer.json()["title"]) == (422, "Idempotency key used before")
    assert len(kept(database)) == 1  # not even the second of them


@pytest.mark.parametrize(
    "wrong",
    [
        event(kind="rating"),
        event(kind="read", rating=3),
        event(kind="rating", rating=9),
        event(kind="loved"),
        event(user_id=""),
        event(book_id="a\0b"),
        event(occurred_at="2999-01-01T00:00:00Z"),
        event(occurred_at="2020-01-01T00:00:00"),
        event(recommendation_id="7"),
        event(mood="good"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_of_the_request_kept(
    http: TestClient, database: str, wrong: dict[str, Any]
):
    assert tell(http, event(), wrong).status_code == 422
    assert kept(database) == []


def test_a_book_that_the_model_does_not_know_is_kept_and_named(http: TestClient, database: str):
    assert tell(http, event(book_id="new")).json()["unknown_books"] == ["new"]
    assert kept(database) == [("7", "new", "read", None)]


def test_sql_is_text(http: TestClient, database: str):
    nasty = "'; drop table feedback; --"
    assert tell(http, event(user_id=nasty, book_id=nasty)).status_code == 202
    assert kept(database) == [(nasty, nasty, "read", None)]


def test_a_reader_speaks_for_themselves_alone(database: str, redis_url: str):
    with service(database, redis_url, address="203.0.113.9") as http:
        assert tell(http, event()).status_code == 401
    assert kept(database) == []


def test_an_erased_reader_does_not_come_back_through_feedback(http: TestClient, database: str):
    with unit_of_work(database) as session:
        erasures = ErasureRepository(session, ErasureKey.of(settings()))
        erasures.begin(LIBRARY, "7", None)
    answer = tell(http, event())
    assert answer.status_code == 422
    assert "erased" in answer.json()["detail"]
    assert kept(database) == []


def test_without_a_database_nothing_is_taken_in(redis_url: str):
    with service(None, redis_url) as http:
        before = books(http)
        answer = tell(http, event())
        assert answer.status_code == 503
        assert books(http) == before


def test_without_redis_events_are_kept_for_the_training(database: str, own_redis: Any):
    with service(database, own_redis.url) as http:
        own_redis.kill()
        assert tell(http, event()).status_code == 202
        assert len(kept(database)) == 1
        assert books(http)
        own_redis.start()


def test_feedback_is_counted_by_kind_and_by_whether_it_answers_a_list(http: TestClient):
    given = http.get("/api/v1/users/7/recommendations").json()["recommendation_id"]
    tell(http, event(kind="click", recommendation_id=given), event())
    metrics = http.get("/metrics").text
    assert 'bookrec_feedback_total{attributed="true",kind="click"} 1.0' in metrics
    assert 'bookrec_feedback_total{attributed="false",kind="read"} 1.0' in metrics


READER = "/api/v1/users/7"


def test_a_reader_is_made_once(http: TestClient):
    stranger = "/api/v1/users/stranger"
    assert http.get(stranger).status_code == 404
    assert [http.put(stranger).status_code for _ in range(2)] == [201, 204]
    told = http.get(stranger).json()
    assert (told["in_model"], told["ratings"], told["events"]) == (False, 0, 0)


def test_what_is_known_of_a_reader_is_told_in_numbers(http: TestClient):
    tell(http, event(), event(kind="click"))
    told = http.get(READER).json()
    assert (told["user_id"], told["in_model"], told["events"]) == ("7", True, 2)
    assert told["created_at"]


def test_a_reader_who_is_only_in_the_model_is_known(http: TestClient):
    assert http.get(READER).json()["created_at"] is None
