from collections.abc import Iterator

import pytest

from tests.unit.models.embeddings.ollama_stub import OllamaStub, running


@pytest.fixture
def ollama() -> Iterator[OllamaStub]:
    with running() as stub:
        yield stub


@pytest.fixture(autouse=True)
def _no_ollama_of_this_machine(monkeypatch):
    monkeypatch.delenv("OLLAMA_HOST", raising=False)
    monkeypatch.delenv("OLLAMA_API_KEY", raising=False)
