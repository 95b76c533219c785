"""Answers that are written before a task is made: over real connections, from uvicorn."""

import asyncio
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
import uvicorn
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT

from serving.bootstrap import Components
from serving.gateway.app import create_app
from serving.gateway.at_hand import AtHand
from serving.gateway.protocol import AtHandProtocol, _Outgoing
from serving.gateway.short_way import ShortWay
from tests.serving_parts import ADMIN_TOKEN, Shelf, admin, bundle, parts, paths_to

LISTS = "/api/v1/users/3/recommendations"
BOOK = "/api/v1/books/7"


@contextmanager
def served(components: Components, **options: Any) -> Iterator[httpx.Client]:
    """A client of the gateway as workers run it."""
    config = uvicorn.Config(
        create_app(lambda: components), port=0, http=AtHandProtocol, log_config=None, **options
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}") as http:
            yield http
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture
def http(components: Components) -> Iterator[httpx.Client]:
    with served(components) as http:
        yield http


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths that came to the application."""
    return paths_to(ShortWay, monkeypatch)


def said(http: httpx.Client, requests: bytes, answers: int) -> list[bytes]:
    """What a server says to some bytes on one connection: so many answers, or what is said."""
    told = b""
    address = (http.base_url.host, http.base_url.port)
    with socket.create_connection(address, timeout=10) as connection:
        connection.sendall(requests)
        while told.count(b"HTTP/1.1 ") < answers or not told.endswith(b"}"):
            if not (more := connection.recv(65536)):
                break
            told += more
    return told.split(b"HTTP/1.1 ")[1:]


def get(path: str, *headers: str, version: str = "1.1") -> bytes:
    return "\r\n".join([f"GET {path} HTTP/{version}", "Host: localhost", *headers, "", ""]).encode()


@pytest.mark.parametrize("path", [LISTS, BOOK])
@pytest.mark.parametrize("headers", [{}, admin(), admin() | {"X-Forwarded-Proto": "https"}])
def test_it_looks_as_through_the_layers(
    http: httpx.Client, asked: list[str], path: str, headers: dict[str, str]
):
    layered, at_hand = (http.get(path, headers=headers) for _ in range(2))
    assert asked.count(path) == 1
    assert at_hand.status_code == layered.status_code == 200
    assert set(at_hand.headers) == set(layered.headers)
    for name in set(layered.headers) - {
        "x-request-id", "ratelimit-remaining", "ratelimit-reset", "content-length", "date"
    }:  # fmt: skip
        assert at_hand.headers[name] == layered.headers[name]
    left = [int(answer.headers["ratelimit-remaining"]) for answer in (layered, at_hand)]
    assert left[0] - left[1] == 1
    one, other = layered.json(), at_hand.json()
    assert ("recommendation_id" in one) == (path == LISTS)
    if path == LISTS:
        assert one.pop("recommendation_id") != other.pop("recommendation_id")
        assert (one.pop("source"), other.pop("source")) == ("model", "cache")
    assert one == other


def test_it_is_counted_as_all_others(http: httpx.Client, components: Components):
    for _ in range(3):
        http.get(LISTS)
    route = "/api/v1/users/{user_id}/recommendations"
    told = components.metrics.render().decode()
    assert f'bookrec_requests_total{{method="GET",route="{route}",status="200"}} 3.0' in told
    assert f'bookrec_request_seconds_count{{route="{route}"}} 3.0' in told
    assert 'bookrec_cache_operations_total{result="local"} 2.0' in told
    assert 'bookrec_recommendations_total{source="cache",version="1"} 2.0' in told


def test_questions_that_come_together_are_answered_in_their_order(
    http: httpx.Client, asked: list[str]
):
    http.get(LISTS)
    http.get(BOOK)
    long = "/api/v1/books/8"
    told = said(http, get(BOOK) + get(long) + get(LISTS) + get(BOOK), 4)
    bodies = [json.loads(answer.partition(b"\r\n\r\n")[2]) for answer in told]
    assert [body.get("book_id", body.get("user_id")) for body in bodies] == [7, 8, 3, 7]
    # The first is at hand; what waits behind one that is not goes to the application too.
    assert asked[-3:] == [long, LISTS, BOOK]


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (get(LISTS, "Connection: close"), 200),
        (get(LISTS, version="1.0"), 200),
        (get(LISTS, "Origin: https://elsewhere.example"), 200),
        (get(LISTS, "Expect: 100-continue"), 200),
        (get(LISTS, "Content-Length: 3") + b"{} ", 415),
        (get(LISTS, "Transfer-Encoding: chunked") + b"0\r\n\r\n", 415),
        (get(LISTS, "Authorization: Bearer nonsense"), 401),
        (get(LISTS, "Authorization: Basic nonsense"), 401),
        (get(LISTS, "X-API-Key: a", "Authorization: Bearer b"), 401),
        (get(LISTS, "X-Forwarded-For: 203.0.113.9"), 401),
        (get("/api/v1/users/%33/recommendations"), 200),
        (get(LISTS).replace(b"GET", b"HEAD"), 405),
        (get(LISTS).replace(b"GET", b"DELETE"), 405),
    ],
)
def test_what_has_to_be_looked_into_goes_to_the_application(
    http: httpx.Client, asked: list[str], request_: bytes, status: int
):
    http.get(LISTS)
    (told,) = said(http, request_, 1)[-1:]
    assert told.startswith(b"%d " % status)
    assert asked.count(LISTS) == 2


def test_what_fails_is_told_of_by_the_application(
    http: httpx.Client, asked: list[str], monkeypatch: pytest.MonkeyPatch
):
    def broken(*_: object) -> None:
        raise RuntimeError("a defect")

    http.get(LISTS)
    monkeypatch.setattr(AtHand, "__call__", broken)
    assert http.get(LISTS).status_code == 200
    assert asked.count(LISTS) == 2


def test_a_limit_holds(shelf: Shelf):
    shelf.publish(bundle())
    limited = parts(shelf, security={"rate_limits": {"local": "5/minute"}})
    with served(limited) as http:
        told = [http.get(LISTS).status_code for _ in range(7)]
    assert told == [200] * 5 + [429] * 2


def test_a_host_that_is_not_ours_is_refused(shelf: Shelf):
    shelf.publish(bundle())
    with served(parts(shelf, security={"trusted_hosts": ["127.0.0.1"]})) as http:
        http.get(LISTS)
        assert http.get(LISTS, headers={"Host": "elsewhere.example"}).status_code == 400


def test_what_one_may_ask_is_not_given_to_another(http: httpx.Client):
    through = {"X-Forwarded-For": "203.0.113.9"}
    known = {"Authorization": f"Bearer {ADMIN_TOKEN}"} | through
    assert [http.get(LISTS, headers=known).status_code for _ in range(2)] == [200, 200]
    assert http.get(LISTS, headers=through).status_code == 401


def test_large_answers_arrive_whole(http: httpx.Client):
    told = http.get("/openapi.json")
    assert len(told.content) == int(told.headers["content-length"]) > 100_000
    assert told.json()["openapi"].startswith("3.")


def test_what_is_answered_before_does_not_end_the_connection_of_what_takes_longer(
    components: Components, monkeypatch: pytest.MonkeyPatch
):
    recommend = components.recommendations.recommend

    async def slowly(*args: object, **options: object) -> object:
        await asyncio.sleep(1.5)
        return await recommend(*args, **options)

    with served(components, timeout_keep_alive=1) as http:
        http.get(LISTS)
        monkeypatch.setattr(components.recommendations, "recommend", slowly)
        slow = LISTS.replace("3", "4")
        told = said(http, get(LISTS) + get(slow), 2)
    assert [answer[:3] for answer in told] == [b"200", b"200"]


def test_no_more_is_given_at_once_than_a_slow_reader_has_room_for(
    http: httpx.Client, asked: list[str]
):
    page = f"{LISTS}?n=100"
    http.get(page)
    size = len(http.get(page).content)
    told = said(http, get(page) * 40, 40)
    assert [answer[:3] for answer in told] == [b"200"] * 40
    at_hand = 40 - (asked.count(LISTS) - 1)
    assert HIGH_WATER_LIMIT / (2 * size) < at_hand < 3 * HIGH_WATER_LIMIT / size


class Transport:
    """Notes what is done to it."""

    def __init__(self) -> None:
        self.done: list[bytes | str] = []

    def write(self, data: bytes) -> None:
        self.done.append(data)

    def close(self) -> None:
        self.done.append("closed")

    def is_closing(self) -> bool:
        return "closed" in self.done


@pytest.mark.anyio
async def test_what_is_written_goes_out_before_the_end_and_nothing_after_it():
    transport = Transport()
    answers = _Outgoing(transport, asyncio.get_running_loop())
    for part in (b"head", b"body"):
        answers.write(part)
    assert transport.done == []
    answers.close()
    answers.write(b"late")
    await asyncio.sleep(0)
    assert transport.done == [b"headbody", "closed"]
    assert answers.n_bytes == 0


def test_a_server_that_ends_leaves_no_answer_behind(components: Components):
    with served(components) as http:
        http.get(LISTS)
        answer = http.get(LISTS)
    assert answer.json()["source"] == "cache"
