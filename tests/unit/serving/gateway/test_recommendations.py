from uuid import UUID

import numpy as np
import pytest
from starlette.testclient import TestClient

from pipelines.data.interactions import Vocabulary
from tests.fakes import FakeBundle
from tests.serving_parts import Shelf, bundle, client, parts

EXPLAIN = {"explain": True}
READER = "/api/v1/users/{}/recommendations"


def test_a_reader_gets_a_ranked_list(http: TestClient):
    answer = http.get(READER.format(3), params={"n": 2, "explain": True})
    assert answer.status_code == 200
    body = answer.json()
    assert UUID(body.pop("recommendation_id"))
    assert body.pop("next_cursor")
    assert body == {
        "model_version": 1,
        "source": "model",
        "user_id": 3,
        "items": [
            {
                "rank": rank,
                "book_id": book_id,
                "title": f"Book {book_id}",
                "authors": ["Ada"],
                "score": score,
                "reasons": ["because"],
            }
            for rank, book_id, score in [(1, 3, 1 / 3), (2, 4, 1 / 4)]
        ],
    }


def test_asked_again_the_same_list_comes_from_the_cache(http: TestClient):
    first = http.get(READER.format(3)).json()
    second = http.get(READER.format(3)).json()
    assert (first["source"], second["source"]) == ("model", "cache")
    assert first["items"] == second["items"]
    assert len(first["items"]) == 10
    assert first["recommendation_id"] != second["recommendation_id"]


@pytest.mark.parametrize("reader", ["nobody", "999999", "03", "-1", "9" * 200])
def test_an_unknown_reader_gets_popular_books(http: TestClient, reader: str):
    answer = http.get(READER.format(reader))
    assert answer.status_code == 200
    assert (answer.json()["source"], answer.json()["user_id"]) == ("fallback", reader)


@pytest.mark.parametrize("n", ["0", "501", "abc", "1.5", ""])
def test_a_length_out_of_bounds_is_a_problem(http: TestClient, n: str):
    answer = http.get(READER.format(3), params={"n": n})
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert (body["type"], body["status"]) == ("urn:bookrec:problem:invalid-request", 422)
    assert [error["where"] for error in body["errors"]] == ["query.n"]


@pytest.mark.parametrize("n", [1, 100, 101, 500])
def test_lengths_up_to_the_bound_are_answered(http: TestClient, n: int):
    assert len(http.get(READER.format(3), params={"n": n}).json()["items"]) == min(n, 300)


def test_an_endless_id_is_a_problem(http: TestClient):
    assert http.get(READER.format("x" * 257)).status_code == 422


TEXT_IDS = [
    "Ünïcödé 🕮",
    "two words",
    "/works/OL1W",
    "a/similar",
    "50%",
    "%2F",
    "a:b",
    "a?b#c",
    "..",
]


@pytest.fixture
def spelled(shelf: Shelf) -> TestClient:
    ids = Vocabulary(TEXT_IDS)
    shelf.publish(FakeBundle(ids, ids))
    with client(parts(shelf)) as http:
        yield http


@pytest.mark.parametrize("reader", TEXT_IDS)
def test_any_id_reaches_its_own_reader(spelled: TestClient, reader: str):
    path = READER.format("".join(f"%{byte:02X}" for byte in reader.encode()))
    for source in ("model", "cache"):
        body = spelled.get(path, params={"n": 1}).json()
        assert (body["user_id"], body["source"]) == (reader, source)
        assert body["items"][0]["book_id"] == reader  # the fake's first book has the reader's place


@pytest.mark.parametrize("book", TEXT_IDS)
def test_any_id_reaches_its_own_book(spelled: TestClient, book: str):
    path = "/api/v1/books/" + "".join(f"%{byte:02x}" for byte in book.encode())
    assert spelled.get(path).json()["book_id"] == book
    assert spelled.get(f"{path}/similar").json()["book_id"] == book


@pytest.mark.parametrize("reader", ["%0d%0aSet-Cookie:%20a=b", "%FF%FE", "%00", "%ED%B0%AF"])
def test_hostile_ids_are_plain_unknown_readers(http: TestClient, reader: str):
    answer = http.get(READER.format(reader))
    assert answer.status_code == 200
    assert answer.json()["source"] == "fallback"
    assert "set-cookie" not in answer.headers


def test_without_a_model_it_says_when_to_come_back(empty: TestClient):
    answer = empty.get(READER.format(3))
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "10")
    assert answer.json()["detail"] == "no champion yet: run the pipeline first"


def test_a_promotion_shows_in_the_next_answer(shelf: Shelf):
    shelf.publish(bundle())
    components = parts(shelf)
    with client(components) as http:
        assert http.get(READER.format(3)).json()["model_version"] == 1
        shelf.publish(bundle(title="Newer"))
        components.slot.refresh()
        body = http.get(READER.format(3)).json()
    assert (body["model_version"], body["source"]) == (2, "model")
    assert body["items"][0]["title"] == "Newer 3"


def test_numbers_and_text_are_told_apart(shelf: Shelf):
    shelf.publish(FakeBundle(Vocabulary(["1", "2"]), Vocabulary(np.array([1, 2]))))
    with client(parts(shelf)) as http:
        body = http.get(READER.format("1"), params={"n": 1}).json()
    assert (body["user_id"], body["items"][0]["book_id"]) == ("1", 1)


def test_with_explanations_switched_off_a_list_comes_without_reasons(shelf: Shelf):
    shelf.publish(bundle())
    with client(parts(shelf, flags={"explanations": False})) as http:
        bodies = [http.get(READER.format(3), params=EXPLAIN).json() for _ in range(2)]
    assert [body["source"] for body in bodies] == ["model", "cache"]
    assert [item["reasons"] for body in bodies for item in body["items"]] == [[]] * 20
    with client(parts(shelf)) as http:
        told = http.get(READER.format(3), params=EXPLAIN).json()
        assert told["items"][0]["reasons"] == ["because"]
