"""
Embeddings from an Ollama server.

Where it listens comes from the configuration, or from OLLAMA_HOST as for Ollama's own client;
OLLAMA_API_KEY, if set, is sent as a bearer token and is never written anywhere.
"""

import os
import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import httpx
from pydantic import Field

from pipelines.errors import EmbeddingError, NoProviderError
from pipelines.models.base import ModelConfig
from pipelines.models.embeddings.base import Vectors, checked

DEFAULT_PORT = 11434


class OllamaConfig(ModelConfig):
    """Which server and which of its models."""

    url: str | None = None
    """OLLAMA_HOST if unset; without either the provider is not set up."""
    model: str = "embeddinggemma"
    timeout_seconds: float = Field(120, gt=0)
    """For one batch; the first one waits until the server has loaded the model."""
    query_timeout_seconds: float = Field(2, gt=0)
    """The same, where somebody waits for it."""
    batch_size: int = Field(32, ge=1)
    max_characters: int = Field(4_000, ge=1)
    """Texts are cut here rather than by the server, which may refuse what is too long for it."""


class OllamaProvider:
    """Asks `POST /api/embed`, a batch at a time."""

    name = "ollama"

    def __init__(self, config: OllamaConfig, url: str, api_key: str | None = None) -> None:
        self._config = config
        self._url = url
        self._headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}

    @property
    def model(self) -> str:
        """The model, and where texts are cut."""
        return f"{self._config.model} max_characters={self._config.max_characters}"

    def embed(self, texts: Sequence[str], *, urgent: bool = False) -> Vectors:
        """See `EmbeddingProvider.embed`."""
        config, size = self._config, self._config.batch_size
        batches = [list(texts[i : i + size]) for i in range(0, len(texts), size)]
        seconds = config.query_timeout_seconds if urgent else config.timeout_seconds
        with httpx.Client(timeout=seconds, headers=self._headers) as client:
            rows = [row for batch in batches for row in self._ask(client, batch)]
        return checked(self.name, rows, len(texts))

    def _ask(self, client: httpx.Client, batch: list[str]) -> list[Any]:
        cut = [text[: self._config.max_characters] for text in batch]
        body = {"model": self._config.model, "input": cut, "truncate": True}
        try:
            response = client.post(f"{self._url}/api/embed", json=body)
        except (httpx.RequestError, httpx.InvalidURL) as error:
            kind = type(error).__name__
            raise EmbeddingError(f"ollama does not answer at {self._shown_url}: {kind}") from None
        answer = _content(response)
        if response.is_error:
            raise EmbeddingError(f"ollama answered {response.status_code}: {answer.get('error')}")
        rows = answer.get("embeddings")
        if not isinstance(rows, list) or len(rows) != len(batch):
            found = len(rows) if isinstance(rows, list) else "no"
            raise EmbeddingError(f"ollama answered {found} embeddings to {len(batch)} texts")
        return rows

    @property
    def _shown_url(self) -> str:
        """Without a password that the address may hold."""
        return self._url.rpartition("@")[2]


def _content(response: httpx.Response) -> dict[str, Any]:
    try:
        content = response.json()
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise EmbeddingError(f"ollama answered no JSON object, but status {response.status_code}")
    return content


def make(options: Mapping[str, Any]) -> OllamaProvider:
    """
    The provider as configured; does not ask the server anything yet.

    Raises:
        NoProviderError: neither a url nor OLLAMA_HOST is set.
    """
    config = OllamaConfig.model_validate(options)
    address = config.url or os.environ.get("OLLAMA_HOST", "").strip()
    if not address:
        raise NoProviderError("ollama: set its url, or OLLAMA_HOST")
    return OllamaProvider(config, base_url(address), os.environ.get("OLLAMA_API_KEY"))


def base_url(address: str) -> str:
    """`box`, `box:1234`, `:1234` or a URL, as Ollama's own client reads OLLAMA_HOST."""
    if "://" not in address:
        address = f"http://{'127.0.0.1' if address.startswith(':') else ''}{address}".rstrip("/")
        if not re.search(r":[^\]]*$", urlsplit(address).netloc):  # an IPv6 address ends in "]"
            address = f"{address}:{DEFAULT_PORT}"
    # A server is told to listen on all addresses by the same variable, but none can be called so.
    return address.replace("://0.0.0.0", "://127.0.0.1").rstrip("/")
