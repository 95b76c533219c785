"""Debian's nginx, with the files of the image, before real replicas of the service."""

import asyncio
import json
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from benchmarks.proxy import Proxy, proxy_before
from pipelines.registry import CHAMPION, MlflowRegistry
from tests import factories
from tests.deployment import install_debian
from tests.integration.serving.conftest import Serve, Served
from tests.serving_parts import admin

pytestmark = [pytest.mark.e2e, pytest.mark.anyio]

CLIENTS = 8
PATIENCE_SECONDS = 20
ANN = "/api/v1/users/ann/recommendations"
PATHS = (ANN, "/api/v1/books/popular", "/api/v1/genres", "/api/v1/users/bob/recommendations")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@dataclass
class Stack:
    proxy: Proxy
    replicas: dict[str, Served]

    def addresses(self, colour: str) -> set[str]:
        return {r.address for name, r in self.replicas.items() if name.startswith(colour)}


@pytest.fixture
def stack(serve: Serve, registry: MlflowRegistry, tmp_path: Path) -> Iterator[Stack]:
    """Two blue replicas and a green one, ready, behind nginx."""
    factories.bundle().save(tmp_path / "bundle")
    registry.record_run("hybrid", "one", params={}, metrics={}, tags={})
    registry.set_alias(
        CHAMPION, registry.register("hybrid", "one", tmp_path / "bundle", {}).version
    )
    with ExitStack() as running:
        names = ("blue-1", "blue-2", "green-1")
        replicas = {
            name: running.enter_context(
                serve(
                    name,
                    BOOKREC_API__WORKERS="1",
                    BOOKREC_HOME=str(tmp_path / name),
                    BOOKREC_SECURITY__RATE_LIMITS__ANONYMOUS="1000000/minute",
                )
            )
            for name in names
        }
        for replica in replicas.values():
            replica.until("/readyz", lambda answer: answer.status_code == 200)
        blue_1, blue_2, green = (replica.address for replica in replicas.values())
        by_colour = {"blue": [blue_1, blue_2], "green": [green, green]}
        install_debian("nginx", "nginx-light", "curl")
        yield Stack(running.enter_context(proxy_before(tmp_path / "nginx", by_colour)), replicas)


@dataclass
class Load:
    """Readers who ask without a break, each from an address of their own."""

    given: int = 0
    failed: list[object] = field(default_factory=list)
    asked_again: int = 0

    async def answers(self, more: int) -> None:
        """Wait for so many more."""
        wanted = self.given + more
        async with asyncio.timeout(PATIENCE_SECONDS):
            while self.given < wanted and not self.failed:
                await asyncio.sleep(0.01)

    async def ask_until(self, stop: asyncio.Event, url: str, address: str) -> None:
        transport = httpx.AsyncHTTPTransport(local_address=address)
        async with httpx.AsyncClient(base_url=url, transport=transport, timeout=10) as http:
            while not stop.is_set():
                for path in PATHS:
                    await self._ask(http, path)

    async def _ask(self, http: httpx.AsyncClient, path: str) -> None:
        try:
            answer = await self._get(http, path)
        except httpx.HTTPError as error:
            self.failed.append((path, repr(error)))
            return
        if answer.status_code != 200:
            self.failed.append((path, answer.status_code, answer.text))
        self.given += 1

    async def _get(self, http: httpx.AsyncClient, path: str) -> httpx.Response:
        """
        Ask as RFC 9112 (9.3.1) has it, and browsers do: again where the connection just closed.

        Debian's nginx closes those at once when it reloads; that of the image waits.
        """
        try:
            return await http.get(path, headers=admin())
        except httpx.RemoteProtocolError:
            self.asked_again += 1
            return await http.get(path, headers=admin())


@asynccontextmanager
async def under_load(url: str) -> AsyncIterator[Load]:
    load, stop = Load(), asyncio.Event()
    async with asyncio.TaskGroup() as asking:
        for number in range(CLIENTS):
            asking.create_task(load.ask_until(stop, url, f"127.0.1.{number + 1}"))
        try:
            yield load
        finally:
            stop.set()


async def test_no_reader_notices_a_dead_replica_or_a_new_release(
    stack: Stack, record_property: Callable[[str, object], None]
):
    _passes_on_and_keeps_back(stack.proxy)
    _speaks_tls(stack.proxy)
    async with under_load(stack.proxy.inside) as load:
        await load.answers(200)
        await asyncio.to_thread(stack.replicas["blue-1"].kill)
        await load.answers(400)
        assert (load.failed, load.asked_again) == ([], 0)

        switched = await asyncio.to_thread(stack.proxy.switch, "green")
        assert (switched.returncode, switched.stdout) == (0, "green answers\n"), switched.stderr
        await load.answers(400)
        assert load.failed == []
        await asyncio.to_thread(stack.replicas["blue-2"].kill)
        await load.answers(200)
    assert load.failed == []
    assert load.asked_again <= CLIENTS  # each had one connection when nginx reloaded
    record_property("answers_under_load", load.given)

    lines = _requests(stack.proxy)
    assert {line["upstream"] for line in lines[-100:]} <= stack.addresses("green")
    assert stack.addresses("green") | stack.addresses("blue") <= {
        line["upstream"] for line in lines
    }

    refused = stack.proxy.switch("blue")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "is not ready: nothing was changed" in refused.stderr
    assert stack.proxy.switch().returncode == 1
    assert httpx.get(f"{stack.proxy.inside}/api/v1/genres").status_code == 200
    _holds_back_whoever_asks_too_much(stack.proxy)
    assert "/users/-/recommendations" in stack.proxy.log()
    assert "/users/ann" not in stack.proxy.log()


def _requests(proxy: Proxy) -> list[dict[str, str]]:
    return [json.loads(line) for line in proxy.log().splitlines() if line.startswith("{")]


def _passes_on_and_keeps_back(proxy: Proxy) -> None:
    with httpx.Client(base_url=proxy.inside) as http:
        public = http.get("/api/v1/books/popular?n=12", headers={"X-Request-ID": "mine-1"})
        assert public.headers["x-request-id"] == "mine-1"
        assert public.headers["cache-control"] == "public, max-age=60"
        assert public.headers["content-encoding"] == "gzip"
        assert public.headers.get_list("cache-control") == ["public, max-age=60"]

        own = http.get(ANN, headers=admin() | {"X-Request-ID": "no id\x7f"})
        assert own.headers["cache-control"] == "no-store"
        assert len(own.headers["x-request-id"]) == 32
        assert own.headers["x-frame-options"] == "DENY"
        known = http.get("/api/v1/books/popular", headers=admin())
        assert known.headers["cache-control"] == "no-store"
        missing = http.get("/api/v1/books/none-such")
        assert (missing.status_code, missing.headers["cache-control"]) == (404, "no-store")

        # A caller from this machine needs no credentials; one behind the proxy cannot say so.
        local = http.get(ANN, headers={"X-Forwarded-For": "", "Host": "localhost"})
        assert local.status_code == 401

        for path, status in (("/metrics", 404), ("/livez", 200), ("/readyz", 200)):
            assert http.get(path).status_code == status
        large = http.post("/api/v1/recommendations", content=b"x" * 1_100_000)
        assert (large.status_code, large.json()["status"]) == (413, 413)
        assert large.headers["content-type"] == "application/problem+json"


def _speaks_tls(proxy: Proxy) -> None:
    answer = httpx.get(f"{proxy.outside}/api/v1/genres", verify=proxy.trusting())
    assert answer.status_code == 200
    assert answer.headers["strict-transport-security"] == "max-age=31536000"
    plain = httpx.get(f"http://127.0.0.1:{proxy.ports['8000']}/docs?a=1")
    assert (plain.status_code, plain.headers["location"]) == (308, "https://127.0.0.1/docs?a=1")
    old = proxy.trusting()  # without forward secrecy
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    old.set_ciphers("AES256-SHA256")
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{proxy.outside}/livez", verify=old)


def _holds_back_whoever_asks_too_much(proxy: Proxy) -> None:
    """A hundred requests that are never finished keep nobody out but their sender."""
    address = ("127.0.0.1", proxy.ports["8080"])
    begun = b"POST /api/v1/recommendations HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n"
    with ExitStack() as opened:
        for _ in range(100):
            connection = socket.create_connection(address, source_address=("127.0.2.1", 0))
            opened.enter_context(connection).sendall(begun)
        greedy = httpx.HTTPTransport(local_address="127.0.2.1")
        with httpx.Client(base_url=proxy.inside, transport=greedy) as http:
            refused = http.get("/api/v1/genres")
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
        assert refused.json()["title"] == "Too Many Requests"
        assert httpx.get(f"{proxy.inside}/api/v1/genres").status_code == 200
