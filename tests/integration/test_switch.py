"""Switching sets over and over, with an nginx as new as the image's."""

import http.server
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from benchmarks.proxy import proxy_before

pytestmark = pytest.mark.integration

SWITCHES, CLIENTS = 12, 8


class Ready(http.server.BaseHTTPRequestHandler):
    """Answers everything with an empty document, on connections that stay."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *told: object) -> None:
        """Nothing."""


@pytest.fixture
def upstream() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Ready) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


@dataclass
class Client:
    """Asks on one connection, with pauses in which nginx may close it."""

    url: str
    address: str
    failed: list[object] = field(default_factory=list)
    given: int = 0

    def ask_until(self, stop: threading.Event) -> None:
        transport = httpx.HTTPTransport(local_address=self.address)
        with httpx.Client(base_url=self.url, transport=transport) as http:
            while not stop.wait(0.02):
                try:
                    self.failed += [] if http.get("/").status_code == 200 else ["refused"]
                except httpx.HTTPError as error:
                    self.failed.append(error)
                self.given += 1


def test_no_switch_closes_a_connection_under_a_callers_hands(upstream: str, tmp_path: Path):
    replicas = {colour: [upstream, upstream] for colour in ("blue", "green")}
    with proxy_before(tmp_path / "nginx", replicas, newer=True) as proxy:
        clients = [Client(proxy.inside, f"127.0.3.{n + 1}") for n in range(CLIENTS)]
        stop = threading.Event()
        asking = [threading.Thread(target=c.ask_until, args=(stop,)) for c in clients]
        for thread in asking:
            thread.start()
        for number in range(SWITCHES):
            switched = proxy.switch(("green", "blue")[number % 2])
            assert switched.returncode == 0, switched.stderr
            _wait_for_more(clients)
        stop.set()
        for thread in asking:
            thread.join()
    assert [client.failed for client in clients] == [[]] * CLIENTS


def _wait_for_more(clients: list[Client]) -> None:
    """Until each has been answered twice more."""
    before = [client.given for client in clients]
    deadline = time.monotonic() + 20
    while any(c.given < n + 2 for c, n in zip(clients, before, strict=True)):
        assert time.monotonic() < deadline
        time.sleep(0.01)
