import socket

import numpy as np
import pytest
import structlog

from pipelines.errors import ConfigurationError, NoProviderError
from pipelines.models.embeddings.factory import create_provider, embed_texts
from tests.packages import install

GROUP = "bookrec.embeddings"


@pytest.fixture
def events():
    with structlog.testing.capture_logs() as logs:
        yield logs


@pytest.fixture
def nobody():
    """An address at which nobody answers."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"


def levels(events):
    return [(e["event"], e["log_level"]) for e in events]


@pytest.mark.parametrize(
    ("name", "options", "reason"),
    [
        ("word2vec", {}, "no embedding provider word2vec: choose from minilm, ollama"),
        ("ollama", {"colour": "x"}, "colour: Extra inputs"),
        ("ollama", {"batch_size": 0}, "batch_size"),
        ("minilm", {"max_tokens": "many"}, "max_tokens"),
    ],
)
def test_configuration_that_makes_no_sense_is_an_error(name, options, reason):
    with pytest.raises(ConfigurationError, match=reason):
        create_provider(name, options)


def test_first_provider_that_works_is_taken(ollama, events):
    embedded = embed_texts(["a book"], ["ollama", "minilm"], {"ollama": {"url": ollama.url}}, None)
    assert embedded.provider == "ollama"
    assert "embeddinggemma" in embedded.model
    assert embedded.vectors.shape == (1, ollama.size)
    assert levels(events) == [("texts_embedded", "info")]


def test_provider_that_is_not_set_up_is_skipped_in_silence(events):
    assert embed_texts(["a book"], ["ollama"], {}, None) is None
    assert levels(events) == [("embedding_provider_skipped", "info")]


def test_provider_that_fails_is_passed_over_with_one_warning(nobody, ollama, events, site):
    install(site, "other", {GROUP: {"second": "pipelines.models.embeddings.ollama:make"}})
    options = {"ollama": {"url": nobody}, "second": {"url": ollama.url}}
    embedded = embed_texts(["a book"] * 3, ["ollama", "second"], options, None)
    assert np.isfinite(embedded.vectors).all()
    assert levels(events) == [("embedding_provider_failed", "warning"), ("texts_embedded", "info")]


def test_providers_are_made_only_when_their_turn_comes(ollama, site):
    install(site, "other", {GROUP: {"second": "other:make"}}, "raise AssertionError('was made')")
    assert embed_texts(["a book"], ["ollama", "second"], {"ollama": {"url": ollama.url}}, None)


def test_interrupted_catalogue_goes_on_where_it_stopped(ollama, tmp_path):
    texts, options = [f"book {i}" for i in range(100)], {"ollama": {"url": ollama.url}}
    ollama.fails_after = 3
    assert embed_texts(texts, ["ollama"], options, tmp_path) is None
    ollama.fails_after = None
    ollama.requests.clear()
    assert embed_texts(texts, ["ollama"], options, tmp_path) is not None
    assert ollama.texts == texts[64:]


def test_what_is_not_set_up_says_how_to_set_it_up():
    with pytest.raises(NoProviderError, match="OLLAMA_HOST"):
        create_provider("ollama", {})
