"""Lists that are given before any layer is asked: the same answers, and no more than those."""

import asyncio
import json
from collections.abc import Iterator

import pytest
import structlog
from starlette.testclient import TestClient

from pipelines.observability import configure_logging
from serving.bootstrap import Components
from serving.gateway import edge, short_way
from serving.gateway.edge import Edge
from serving.security import limits
from tests.fakes import FakeCache
from tests.serving_parts import ADMIN_TOKEN, Shelf, admin, bundle, client, parts, paths_to

LISTS = "/api/v1/users/3/recommendations"


@pytest.fixture
def layers(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths that came to the outermost of the layers."""
    return paths_to(Edge, monkeypatch)


def requests(components: Components) -> float:
    told = components.metrics.render().decode()
    (line,) = [line for line in told.splitlines() if line.startswith("bookrec_requests_total{")]
    return float(line.rpartition(" ")[2])


@pytest.mark.parametrize("headers", [{}, admin()])
def test_a_remembered_answer_is_given_at_once_and_looks_as_through_the_layers(
    components: Components, layers: list[str], headers: dict[str, str]
):
    elsewhere = headers | {"Origin": "https://elsewhere.example"}
    with client(components) as http:
        slow, fast = (http.get(LISTS, headers=given) for given in (elsewhere, headers))
    assert layers.count(LISTS) == 1
    assert set(fast.headers) == set(slow.headers) - {"vary"}
    changing = {"x-request-id", "ratelimit-remaining", "ratelimit-reset"}
    for name in set(fast.headers) - changing - {"content-length"}:
        assert fast.headers[name] == slow.headers[name]
    left = [int(answer.headers["ratelimit-remaining"]) for answer in (slow, fast)]
    assert left[0] - left[1] == 1
    assert fast.json()["items"] == slow.json()["items"]
    assert requests(components) == 2


@pytest.fixture
def remembers_nothing(components: Components, monkeypatch: pytest.MonkeyPatch) -> Components:
    monkeypatch.setattr(components.local_cache, "put", lambda *_: None)
    return components


def cached(components: Components, result: str) -> float:
    return components.metrics.cache_results().get(result, 0)


def test_a_list_in_redis_is_given_at_once_and_looks_as_through_the_layers(
    remembers_nothing: Components, layers: list[str]
):
    components = remembers_nothing
    with client(components) as http:
        made, slow = http.get(LISTS), http.get(LISTS, headers={"Origin": "https://else.example"})
        fast = http.get(LISTS)
    assert layers.count(LISTS) == 1
    assert set(fast.headers) == set(slow.headers) - {"vary"}
    assert fast.json().keys() == slow.json().keys()
    for name in ("items", "source", "model_version", "next_cursor", "user_id"):
        assert fast.json()[name] == slow.json()[name]
    assert (made.json()["source"], fast.json()["source"]) == ("model", "cache")
    left = [int(answer.headers["ratelimit-remaining"]) for answer in (made, slow, fast)]
    assert left == [left[0], left[0] - 1, left[0] - 2]
    assert [cached(components, result) for result in ("miss", "hit", "local_miss")] == [1, 2, 3]
    assert requests(components) == 3


def test_what_redis_does_not_have_is_made_there(components: Components, layers: list[str]):
    paths = [f"/api/v1/users/{reader}/recommendations" for reader in (3, 4, 5)]
    with client(components) as http:
        left = [int(http.get(path).headers["ratelimit-remaining"]) for path in paths]
    assert left == [left[0], left[0] - 1, left[0] - 2]
    assert not set(paths) & set(layers)
    assert cached(components, "miss") == 3
    assert requests(components) == 3


def test_what_redis_gave_is_remembered(components: Components, cache: FakeCache):
    with client(components) as http:
        http.get(LISTS)
        components.local_cache.clear()
        told = [http.get(LISTS).json() for _ in range(2)]
        assert cached(components, "hit") == 1
        assert cached(components, "local") == 1
        cache.values.clear()
        told.append(http.get(LISTS).json())
    assert {answer["source"] for answer in told} == {"cache"}
    assert len({answer["recommendation_id"] for answer in told}) == 3


@pytest.mark.parametrize("query", ["n=1001", "n=0", "explain=true", "cursor=a", "n=5&n=6"])
def test_no_other_question_is_answered_there(
    remembers_nothing: Components, layers: list[str], query: str
):
    with client(remembers_nothing) as http:
        for _ in range(2):
            http.get(f"{LISTS}?{query}")
    assert layers.count(LISTS) == 2


def test_whoever_may_not_have_it_is_refused_by_the_layers(
    remembers_nothing: Components, layers: list[str]
):
    with client(remembers_nothing, address="192.0.2.1") as http:
        assert http.get(LISTS, headers=admin()).status_code == 200
        assert [http.get(LISTS).status_code for _ in range(2)] == [401, 401]
        assert http.get(LISTS, headers=admin()).json()["source"] == "cache"
    assert layers.count(LISTS) == 3


def test_what_fails_there_is_told_of_by_the_layers_and_counted_once(
    components: Components, layers: list[str], monkeypatch: pytest.MonkeyPatch
):
    async def broken(*_: object) -> None:
        raise RuntimeError("a defect")

    monkeypatch.setattr(limits, "LEASE_SECONDS", 60)
    with client(components, raise_server_exceptions=False) as http:
        before = http.get(LISTS)
        components.local_cache.clear()
        monkeypatch.setattr(components.recommendations, "recommend", broken)
        answer = http.get(LISTS)
        after = http.get("/api/v1/books/7")
    assert answer.status_code == 500
    assert layers.count(LISTS) == 1
    left = [int(told.headers["ratelimit-remaining"]) for told in (before, after)]
    assert left[0] - left[1] == 2


def test_what_takes_too_long_there_has_no_second_time(
    components: Components, layers: list[str], monkeypatch: pytest.MonkeyPatch
):
    for module in (short_way, edge):
        monkeypatch.setattr(module, "ANSWER_SECONDS", 0.3)
    asked: list[str] = []

    async def hanging(user_id: str, *_: object, **__: object) -> None:
        asked.append(user_id)
        await asyncio.sleep(60)

    with client(components) as http:
        http.get("/api/v1/users/4/recommendations")
        monkeypatch.setattr(components.recommendations, "recommend", hanging)
        answer = http.get(LISTS)
    assert answer.status_code == 503
    assert asked == ["3"]
    assert layers.count(LISTS) == 1


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Authorization": "Bearer nonsense"}, 401),
        ({"Authorization": "Basic nonsense"}, 401),
        ({"X-API-Key": "a", "Authorization": "Bearer b"}, 401),
        ({"Origin": "https://elsewhere.example"}, 200),
        ({"Content-Length": "3"}, 415),
    ],
)
def test_what_has_to_be_looked_into_goes_through_the_layers(
    http: TestClient, layers: list[str], headers: dict[str, str], status: int
):
    for _ in range(2):
        http.get(LISTS)
    assert http.get(LISTS, headers=headers).status_code == status
    assert layers.count(LISTS) == 1


def test_a_limit_holds_on_the_short_way_too(shelf: Shelf):
    shelf.publish(bundle())
    with client(parts(shelf, security={"rate_limits": {"local": "5/minute"}})) as http:
        told = [http.get(LISTS).status_code for _ in range(7)]
    assert told == [200] * 5 + [429] * 2


def test_a_host_that_is_not_ours_is_refused(shelf: Shelf):
    shelf.publish(bundle())
    with client(parts(shelf, security={"trusted_hosts": ["localhost"]})) as http:
        http.get(LISTS)
        assert http.get(LISTS, headers={"Host": "elsewhere.example"}).status_code == 400


@pytest.fixture
def _logs_json() -> Iterator[None]:
    configure_logging(json=True)
    yield
    structlog.reset_defaults()


@pytest.mark.usefixtures("_logs_json")
def test_its_lines_in_the_log_are_those_of_all_others(
    components: Components, capsys: pytest.CaptureFixture[str]
):
    headers = {"Authorization": f"Bearer {ADMIN_TOKEN}", "X-Request-ID": "order-66"}
    with client(components) as http:
        for path in (LISTS, LISTS, "/nowhere"):
            http.get(path, headers=headers)
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    answered = [line for line in lines if line["event"] == "request_answered"]
    assert [line["status"] for line in answered] == [200, 200, 404]
    for line in answered:
        assert (line["request_id"], line["level"]) == ("order-66", "info")
        assert line["timestamp"].endswith("Z")
        assert line.keys() == answered[0].keys()
