"""The gateway over a real bundle, opened from its folder."""

import pytest
from starlette.testclient import TestClient

from tests import factories


def test_a_reader_of_fantasy_gets_the_missing_volume(real: TestClient):
    first = real.get("/api/v1/users/ann/recommendations?explain=true").json()
    assert first["items"][0]["book_id"] == 30
    assert first["items"][0]["reasons"][0].startswith("because you liked The Grey")
    second = real.get("/api/v1/users/ann/recommendations?explain=true").json()
    assert (second["source"], second["items"]) == ("cache", first["items"])


@pytest.mark.parametrize("reader", ["dee", "eve", "nobody"])
def test_readers_of_no_known_taste_get_popular_books(real: TestClient, reader: str):
    for _ in range(2):
        assert real.get(f"/api/v1/users/{reader}/recommendations").json()["source"] == "fallback"


def test_a_book_is_given_with_all_its_fields(real: TestClient):
    body = real.get("/api/v1/books/30").json()
    assert body["title"] == "The Grey Sea"
    assert set(body) == {name for name in factories.catalogue().column_names if name != "row"}


def test_similar_books_come_from_the_model(real: TestClient):
    body = real.get("/api/v1/books/30/similar", params={"n": 2}).json()
    assert (body["source"], body["book_id"]) == ("model", 30)
    ids = [item["book_id"] for item in body["items"]]
    assert 10 in ids  # The Grey Wizard, of the same series
    assert 30 not in ids


@pytest.mark.parametrize("reader", ["9" * 200, "1e3", "-0", "٣"])
def test_odd_numbers_are_unknown_books_and_no_errors(real: TestClient, reader: str):
    assert real.get(f"/api/v1/books/{reader}").status_code == 404
