import pytest
from starlette.testclient import TestClient


def test_a_book_is_given_as_the_catalogue_has_it(http: TestClient):
    answer = http.get("/api/v1/books/7")
    assert answer.json() == {"book_id": 7, "title": "Book 7", "authors": ["Ada"]}


@pytest.mark.parametrize("path", ["/api/v1/books/999", "/api/v1/books/999/similar"])
def test_an_unknown_book_is_not_found(http: TestClient, path: str):
    answer = http.get(path)
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["type"] == "urn:bookrec:problem:book-not-found"
    assert body["detail"] == "no book has the id '999'"
    assert body["request_id"] == answer.headers["x-request-id"]


def test_similar_books_name_the_book_they_are_like(http: TestClient):
    body = http.get("/api/v1/books/7/similar", params={"n": 3}).json()
    assert (body["book_id"], body["model_version"]) == (7, 1)
    assert [item["book_id"] for item in body["items"]] == [8, 9, 10]


def test_popular_is_a_list_and_not_a_book(http: TestClient):
    body = http.get("/api/v1/books/popular", params={"n": 3}).json()
    assert [item["rank"] for item in body["items"]] == [1, 2, 3]


@pytest.mark.parametrize("path", ["popular", "7/similar", "7"])
def test_without_a_model_there_is_no_catalogue(empty: TestClient, path: str):
    assert empty.get(f"/api/v1/books/{path}").status_code == 503
