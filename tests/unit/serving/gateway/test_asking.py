"""Every way to ask for books, over a real model of twelve books."""

import json

import pytest
from starlette.testclient import TestClient

API = "/api/v1"
ANN = f"{API}/users/ann/recommendations"
ALL = [10 * (num + 1) for num in range(12)]
CRIME = [80, 90, 100]


def ids(body: dict) -> list[int]:
    return [item["book_id"] for item in body["items"]]


def asked(http: TestClient, path: str, **params: object) -> dict:
    answer = http.get(path if path.startswith("/") else f"{API}/{path}", params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()


def told(http: TestClient, path: str, **body: object) -> dict:
    answer = http.post(f"{API}/{path}", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def problem(answer) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/problem+json"
    return answer.status_code, answer.json()["type"].rpartition(":")[2]


def test_reasons_are_given_on_demand_alone(real: TestClient):
    for _ in range(2):  # computed, then cached
        assert {tuple(i["reasons"]) for i in asked(real, ANN)["items"]} == {()}
        first = asked(real, ANN, explain=True)["items"][0]
        assert first["reasons"][0] == "because you liked The Grey Wizard"
    assert asked(real, ANN, explain=True, genre="crime")["items"][0]["reasons"]
    assert not asked(real, ANN, genre="crime")["items"][0]["reasons"]


@pytest.mark.parametrize(
    ("wishes", "expected"),
    [
        ({"genre": "Crime"}, {80, 90, 100} - {80}),  # ann has met 80
        ({"genre": ["crime", "romance"]}, {90, 100, 110, 120}),
        ({"author": "mia sato"}, {70, 110}),
        ({"from_year": 2000}, {110, 120}),
        ({"from_year": 1999, "to_year": 2000}, {100, 110}),
        ({"language": "English", "genre": "romance"}, {110, 120}),
        ({"genre": "romance", "exclude": ["110", "nobody's"]}, {120}),
        ({"genre": "crime", "include_seen": True}, {80, 90, 100}),
        ({"min_rating": 1}, set()),  # nobody has rated
    ],
)
def test_a_reader_may_wish(real: TestClient, wishes: dict, expected: set):
    assert set(ids(asked(real, ANN, **wishes))) == expected


def test_knobs_change_the_order_and_not_what_fits(real: TestClient):
    plain = asked(real, ANN)
    for knob in ("diversity", "popularity_damping"):
        turned = asked(real, ANN, **{knob: 1})
        assert turned["source"] == "model"
        assert sorted(ids(turned)) == sorted(ids(plain))
        assert (ids(turned) != ids(plain)) == (knob == "diversity")


@pytest.mark.parametrize("part", ["item_knn", "content"])
def test_one_part_can_be_asked_alone(real: TestClient, part: str):
    body = asked(real, ANN, model=part)
    assert body["source"] == "model"
    assert ids(body)[0] == 30
    assert part in asked(real, "models/current")["parts"]
    assert asked(real, "books/30/similar", model=part)["items"]


def test_an_unknown_part_is_a_problem_that_names_the_parts(real: TestClient):
    for path in (ANN, f"{API}/books/30/similar"):
        answer = real.get(path, params={"model": "oracle"})
        assert problem(answer) == (422, "unknown-part")
        assert answer.json()["detail"].endswith("content, item_knn")


LISTS = [
    (ANN, {}),
    (ANN, {"diversity": 0.5}),
    (f"{API}/users/nobody/recommendations", {}),
    (f"{API}/books/30/similar", {}),
    (f"{API}/books/popular", {}),
    (f"{API}/books/popular", {"genre": "crime"}),
    (f"{API}/books/trending", {}),
    (f"{API}/books/search", {"q": "a wizard and a tower"}),
]


@pytest.mark.parametrize(("path", "params"), LISTS)
def test_pages_put_together_are_the_list(real: TestClient, path: str, params: dict):
    whole = asked(real, path, n=500, **params)
    assert whole["next_cursor"] is None
    found, cursor = [], None
    while True:
        more = {"cursor": cursor} if cursor else {}
        body = asked(real, path, n=2, **params, **more)
        found += [(i["book_id"], i["score"]) for i in body["items"]]
        assert len(body["items"]) <= 2
        if (cursor := body["next_cursor"]) is None:
            break
    assert found == [(i["book_id"], i["score"]) for i in whole["items"]]


@pytest.mark.parametrize(("path", "params"), LISTS)
def test_every_list_says_where_it_is_from(real: TestClient, path: str, params: dict):
    body = asked(real, path, **params)
    assert {"recommendation_id", "model_version", "source", "items", "next_cursor"} <= set(body)
    assert body["model_version"] == 1
    assert [i["rank"] for i in body["items"]] == list(range(1, len(body["items"]) + 1))
    for item in body["items"]:
        assert set(item) == {"rank", "book_id", "title", "authors", "score", "reasons"}


def test_the_cursor_of_another_model_is_gone(real: TestClient):
    cursor = "MS1vdGhlcjoxMA"  # 1-other:10
    for path, params in LISTS:
        answer = real.get(path, params={**params, "cursor": cursor})
        assert problem(answer) == (410, "cursor-expired")
        assert "begin anew" in answer.json()["detail"]


@pytest.mark.parametrize(
    "cursor", ["", "x", "é", "AAAA", "%%%", "MS1maXJzdA", "MS1maXJzdDo5OTk5OTk5OTk5", "a" * 200]
)
def test_a_cursor_that_no_answer_gave_is_a_problem(real: TestClient, cursor: str):
    assert problem(real.get(ANN, params={"cursor": cursor})) == (422, "invalid-cursor")


def test_a_session_gets_what_the_same_reader_gets(real: TestClient):
    known = asked(real, f"{API}/users/bob/recommendations", explain=True)
    body = told(real, "recommendations", history=[10, 20, 30, 50], explain=True)
    assert body["items"] == known["items"]
    assert (body["source"], body["unknown"]) == ("model", [])


def test_a_session_may_name_books_that_nobody_knows(real: TestClient):
    body = told(real, "recommendations", history=["10", "x", {"book_id": "y", "rating": 5}])
    assert body["unknown"] == ["x", "y"]
    assert 10 not in ids(body)
    nothing = told(real, "recommendations", history=["x"])
    assert nothing["source"] == "fallback"
    assert ids(nothing) == ids(asked(real, f"{API}/users/nobody/recommendations"))
    assert told(real, "recommendations", history=[])["source"] == "fallback"


def test_a_batch_answers_in_the_order_asked_as_single_answers_do(real: TestClient):
    readers = ["cid", "ann", "nobody", "eve", "ann", 7]
    for wishes in ({}, {"explain": True}, {"genre": ["fantasy"], "diversity": 0.4}):
        lists = told(real, "recommendations/batch", user_ids=readers, n=5, **wishes)["lists"]
        assert [one["user_id"] for one in lists] == ["cid", "ann", "nobody", "eve", "ann", "7"]
        for one in lists:
            single = asked(real, f"users/{one['user_id']}/recommendations", n=5, **wishes)
            assert one["items"] == single["items"]
            assert {one["source"], single["source"]} in (
                {"model"},
                {"model", "cache"},
                {"cache"},
                {"fallback"},
            )
            assert set(one) == set(single)


def test_a_given_list_is_put_in_a_readers_order(real: TestClient):
    given = [120, "nope", 30, 90, 10]
    body = told(real, "recommendations/rerank", user_id="ann", book_ids=given, explain=True)
    assert sorted(ids(body)) == [10, 30, 90, 120]  # 10 too, though ann has read it
    assert ids(body)[:2] in ([10, 30], [30, 10])
    assert body["unknown"] == ["nope"]
    assert body["items"][0]["reasons"]
    history = [10, 20, 40]
    like_ann = told(real, "recommendations/rerank", history=history, book_ids=given, n=1)
    assert ids(like_ann) == ids(body)[:1]
    unread = told(real, "recommendations/rerank", user_id="ann", book_ids=given, include_seen=False)
    assert sorted(ids(unread)) == [30, 90, 120]
    nothing = told(real, "recommendations/rerank", user_id="ann", book_ids=["nope"])
    assert nothing["items"] == []


def test_similar_to_several_is_near_all_of_them(real: TestClient):
    body = told(real, "books/similar", book_ids=[80, "90", "nope"], n=3)
    assert ids(body)[0] == 100
    assert body["unknown"] == ["nope"]
    assert not {80, 90} & set(ids(body))
    one = told(real, "books/similar", book_ids=[30])
    assert one["items"] == asked(real, "books/30/similar")["items"]
    answer = real.post(f"{API}/books/similar", json={"book_ids": ["nope"]})
    assert problem(answer) == (404, "book-not-found")


def test_search_finds_by_words_and_filters(real: TestClient):
    assert ids(asked(real, "books/search", q="murder at dusk"))[0] == 90
    found = ids(asked(real, "books/search", q="wizard", exclude="10"))
    assert found
    assert 10 not in found
    assert set(ids(asked(real, "books/search", q="tower", genre="crime"))) <= set(CRIME)


def test_popular_and_trending_by_genre(real: TestClient):
    assert set(ids(asked(real, "books/popular", genre="crime"))) == set(CRIME)
    trending = asked(real, "books/trending", genre="crime", days=7)
    assert trending["source"] == "fallback"  # nobody knows when these were read
    assert ids(trending) == ids(asked(real, "books/popular", genre="crime"))


def test_genres_are_counted(real: TestClient):
    assert asked(real, "genres")["genres"] == [
        {"name": "fantasy", "books": 4},
        {"name": "crime", "books": 3},
        {"name": "science fiction", "books": 3},
        {"name": "romance", "books": 2},
    ]


def test_every_kind_of_list_is_counted(real: TestClient):
    asked(real, "books/30/similar")
    told(real, "recommendations", history=[10])
    told(real, "recommendations/batch", user_ids=["ann", "nobody"])
    asked(real, "books/popular")
    text = real.get("/metrics").text
    assert 'bookrec_recommendations_total{source="model",version="1"} 3.0' in text
    assert 'bookrec_recommendations_total{source="fallback",version="1"} 2.0' in text


POSTS = ["recommendations", "recommendations/batch", "recommendations/rerank", "books/similar"]


@pytest.mark.parametrize("path", POSTS)
@pytest.mark.parametrize(
    "body",
    [
        b"\xff\xfe{}",
        b'{"history": ["\xc3\x28"]}',
        b"[" * 100_000,
        b'{"a":' * 50_000,
        b'{"n": 1' + b"0" * 5000 + b"}",
        b'{"n": NaN, "history": [], "user_ids": [1], "book_ids": [1], "user_id": 1}',
        b'{"min_rating": Infinity, "history": [], "user_ids": [1], "book_ids": [1], "user_id": 1}',
        b'{"diversity": NaN, "history": [], "user_ids": [1], "book_ids": [1], "user_id": 1}',
        b'{"history": [NaN], "user_ids": [NaN], "book_ids": [NaN], "user_id": 1}',
        b'{"history": [true], "user_ids": [true], "book_ids": [1.5], "user_id": null}',
        b'{"\\ud800": 1}',
        b'{"history": ["\\ud800"], "user_ids": ["\\ud800"], "book_ids": ["\\ud800"]}',
        b'{"history": [1' + b"0" * 30 + b'], "user_ids": [1e99], "book_ids": [1e99]}',
        b"null",
        b"",
        b'"text"',
    ],
)
def test_a_body_that_makes_no_sense_is_a_problem(real: TestClient, path: str, body: bytes):
    headers = {"content-type": "application/json"}
    answer = real.post(f"{API}/{path}", content=body, headers=headers)
    assert answer.status_code in {400, 422}
    assert answer.headers["content-type"] == "application/problem+json"
    assert len(answer.content) < 20_000
    json.loads(answer.content.decode())


@pytest.mark.parametrize(
    ("path", "body", "where"),
    [
        ("recommendations", {"history": [1] * 1001}, "history"),
        ("recommendations", {"history": [], "n": 501}, "n"),
        ("recommendations", {"history": [], "genre": ["x"] * 101}, "genre"),
        ("recommendations", {"history": [], "genre": ["x" * 201]}, "genre"),
        ("recommendations", {"history": [], "genres": ["x"]}, "genres"),
        ("recommendations", {"history": [], "from_year": 2000, "to_year": 1999}, "body"),
        ("recommendations/batch", {"user_ids": list(range(1001))}, "user_ids"),
        ("recommendations/batch", {"user_ids": []}, "user_ids"),
        ("recommendations/batch", {"user_ids": [1], "n": 101}, "n"),
        ("recommendations/rerank", {"user_id": 1, "book_ids": [1] * 1001}, "book_ids"),
        ("recommendations/rerank", {"book_ids": [1]}, "body"),
        ("recommendations/rerank", {"book_ids": [1], "user_id": 1, "history": []}, "body"),
        ("books/similar", {"book_ids": [1] * 101}, "book_ids"),
    ],
)
def test_everything_has_a_bound(real: TestClient, path: str, body: dict, where: str):
    answer = real.post(f"{API}/{path}", json=body)
    assert problem(answer) == (422, "invalid-request")
    assert where in answer.json()["errors"][0]["where"]


@pytest.mark.parametrize(
    "params",
    [
        {"n": 10**30},
        {"n": "NaN"},
        {"min_rating": "nan"},
        {"min_rating": "inf"},
        {"diversity": "nan"},
        {"diversity": 1.01},
        {"from_year": 2000, "to_year": 1999},
        {"genre": "x" * 201},
        {"genre": ["x"] * 101},
        {"genres": "fantasy"},
        {"cursor": "x" * 201},
    ],
)
def test_wishes_in_an_address_are_bounded_too(real: TestClient, params: dict):
    assert problem(real.get(ANN, params=params)) == (422, "invalid-request")


SQL = [
    "'; drop table books; --",
    "1 or 1=1",
    "\x00",
    "%00",
    "${jndi:ldap://x}",
    "<script>",
    "\u202e",
]


@pytest.mark.parametrize("text", SQL)
def test_text_is_text_in_every_field(real: TestClient, text: str):
    for name in ("genre", "language", "author", "exclude"):
        assert asked(real, ANN, **{name: text})["source"] in {"model", "cache", "fallback"}
    assert asked(real, "books/search", q=text)["source"] == "model"
    assert problem(real.get(ANN, params={"model": text})) == (422, "unknown-part")
    body = told(real, "recommendations", history=[text], exclude=[text], author=[text])
    assert body["unknown"] == [text]
    lists = told(real, "recommendations/batch", user_ids=[text])["lists"]
    assert (lists[0]["user_id"], lists[0]["source"]) == (text, "fallback")
