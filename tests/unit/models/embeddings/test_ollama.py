import socket

import numpy as np
import pytest

from pipelines.errors import EmbeddingError, NoProviderError
from pipelines.models.embeddings.ollama import base_url, make


def test_vectors_come_in_the_order_of_the_texts(ollama):
    texts = [f"book {i}" for i in range(70)]
    vectors = make({"url": ollama.url, "batch_size": 32}).embed(texts)
    assert vectors == pytest.approx(np.array([ollama.vector(text) for text in texts]), abs=1e-6)
    assert [len(request) for request in ollama.requests] == [32, 32, 6]


def test_texts_are_cut_before_they_are_sent(ollama):
    make({"url": ollama.url, "max_characters": 10}).embed(["x" * 1_000_000])
    assert ollama.texts == ["x" * 10]


def test_where_texts_are_cut_is_part_of_the_identity(ollama):
    short, long = (make({"url": ollama.url, "max_characters": n}).model for n in (10, 20))
    assert short != long


def test_without_an_address_it_is_not_set_up():
    with pytest.raises(NoProviderError, match="OLLAMA_HOST"):
        make({})


def test_environment_names_the_server_and_the_key(ollama, monkeypatch):
    monkeypatch.setenv("OLLAMA_HOST", ollama.url.removeprefix("http://"))
    monkeypatch.setenv("OLLAMA_API_KEY", "s3cret")
    make({}).embed(["a book"])
    assert ollama.authorization == ["Bearer s3cret"]


@pytest.mark.parametrize(
    ("address", "url"),
    [
        ("box", "http://box:11434"),
        ("box:1234", "http://box:1234"),
        (":1234", "http://127.0.0.1:1234"),
        ("0.0.0.0", "http://127.0.0.1:11434"),  # noqa: S104 - the address is called
        ("[::1]", "http://[::1]:11434"),
        ("https://box/", "https://box"),
        ("http://box:80", "http://box:80"),
    ],
)
def test_addresses_are_read_as_ollama_reads_them(address, url):
    assert base_url(address) == url


def test_refused_connection():
    with socket.socket() as bound:  # a port that is taken, but that nobody listens on
        bound.bind(("127.0.0.1", 0))
        url = f"http://user:geheim@127.0.0.1:{bound.getsockname()[1]}"
        with pytest.raises(EmbeddingError, match=r"does not answer at 127.0.0.1.*Connect") as error:
            make({"url": url}).embed(["a book"])
    assert "geheim" not in str(error.value)


def test_address_that_is_none():
    with pytest.raises(EmbeddingError, match="InvalidURL"):
        make({"url": "http://box:port"}).embed(["a book"])


def test_slow_server(ollama):
    ollama.seconds = 0.5
    with pytest.raises(EmbeddingError, match="ReadTimeout"):
        make({"url": ollama.url, "timeout_seconds": 0.05}).embed(["a book"])


def test_urgent_texts_wait_less(ollama):
    ollama.seconds = 0.5
    provider = make({"url": ollama.url, "query_timeout_seconds": 0.05})
    with pytest.raises(EmbeddingError, match="ReadTimeout"):
        provider.embed(["a book"], urgent=True)
    assert len(provider.embed(["a book"])) == 1


def test_unknown_model(ollama):
    with pytest.raises(EmbeddingError, match="404: model 'none' not found"):
        make({"url": ollama.url, "model": "none"}).embed(["a book"])


def test_server_of_something_else(ollama):
    with pytest.raises(EmbeddingError, match="no JSON object, but status 404"):
        make({"url": f"{ollama.url}/elsewhere"}).embed(["a book"])


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda rows: rows[1:], "1 embeddings to 2 texts"),
        (lambda rows: [*rows, rows[0]], "3 embeddings to 2 texts"),
        (lambda _: None, "no embeddings to 2 texts"),
        (lambda rows: [rows[0], rows[1][:-1]], "unequal length"),
        (lambda rows: [rows[0], [float("nan")] * 8], "not finite"),
        (lambda rows: [rows[0], [0.0] * 8], "zeros"),
        (lambda _: b"<html>", "no JSON object, but status 200"),
        (lambda _: b"[]", "no JSON object, but status 200"),
    ],
)
def test_answer_that_is_no_embedding(ollama, spoil, reason):
    ollama.spoil = spoil
    with pytest.raises(EmbeddingError, match=reason):
        make({"url": ollama.url}).embed(["one book", "another book"])
