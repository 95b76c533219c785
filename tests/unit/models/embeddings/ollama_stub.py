"""
A server that speaks Ollama's API for embeddings, on a port of its own.

The contract, as Ollama documents it:

```
POST /api/embed   {"model": str, "input": str | [str], "truncate"?: bool}
200               {"model": str, "embeddings": [[float]], "total_duration": ns,
                   "load_duration": ns, "prompt_eval_count": int}
4xx, 5xx          {"error": str}; 404 for a model that is not there
```

Vectors have unit length, one for each input, in their order.
"""

import json
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np

MODEL = "embeddinggemma"
SIZE = 8

Rows = list[list[float]]


class OllamaStub:
    """What it is told to be, and what it has been asked."""

    def __init__(self) -> None:
        self.url = ""
        self.size = SIZE
        self.seconds = 0.0
        self.fails_after: int | None = None
        """Number of requests after which it answers 500 as a crashed model runner does."""
        self.spoil: Callable[[Rows], Any] = lambda rows: rows
        self.requests: list[list[str]] = []
        self.authorization: list[str | None] = []

    @property
    def texts(self) -> list[str]:
        """All that it was asked to embed."""
        return [text for request in self.requests for text in request]

    def vector(self, text: str) -> np.ndarray:
        """Words have directions of their own, so that texts that share words are near."""
        total = np.full(self.size, 1e-3)
        for word in text.lower().split():
            total += np.random.default_rng(zlib.crc32(word.encode())).normal(size=self.size)
        return total / np.linalg.norm(total)

    def answer(self, body: dict[str, Any]) -> tuple[int, bytes]:
        given = body["input"]
        texts = [given] if isinstance(given, str) else given
        self.requests.append(texts)
        if body["model"] != MODEL:
            return 404, json.dumps({"error": f"model '{body['model']}' not found"}).encode()
        if self.fails_after is not None and len(self.requests) > self.fails_after:
            return 500, json.dumps({"error": "EOF"}).encode()
        rows = self.spoil([self.vector(text).tolist() for text in texts])
        if isinstance(rows, bytes):
            return 200, rows
        content = {"model": MODEL, "embeddings": rows, "total_duration": 1, "load_duration": 1}
        return 200, json.dumps(content).encode()


@contextmanager
def running() -> Iterator[OllamaStub]:
    """A stub that listens until the block ends."""
    stub = OllamaStub()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            stub.authorization.append(self.headers["Authorization"])
            time.sleep(stub.seconds)
            known = self.path == "/api/embed"
            status, content = stub.answer(body) if known else (404, b"404 page not found")
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:
            pass

        def handle(self) -> None:
            with suppress(ConnectionError):  # a client that did not wait
                super().handle()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    stub.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield stub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
