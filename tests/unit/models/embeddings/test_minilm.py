import importlib.util
import json

import numpy as np
import pytest
from scipy.special import erf

from pipelines.errors import EmbeddingError, NoProviderError
from pipelines.models.embeddings import minilm
from pipelines.models.embeddings.minilm import MinilmProvider, make, read_safetensors

needs_weights = pytest.mark.skipif(
    not all(importlib.util.find_spec(name) for name in ("tokenizers", minilm.PACKAGE)),
    reason="the dependency group `embeddings` is not installed",
)
HIDDEN, INNER, TOKENS = 24, 36, 7


def write_safetensors(path, tensors):
    header, blobs, at = {}, [], 0
    for name, tensor in tensors.items():
        blob = tensor.astype("<f4").tobytes()
        offsets = [at, at + len(blob)]
        header[name] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": offsets}
        blobs.append(blob)
        at += len(blob)
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + b"".join(blobs))


def random_weights(rng):
    shapes = {
        "embeddings.word_embeddings.weight": (50, HIDDEN),
        "embeddings.position_embeddings.weight": (16, HIDDEN),
        "embeddings.token_type_embeddings.weight": (2, HIDDEN),
    }
    dense, norms = {}, ["embeddings.LayerNorm"]
    for i in range(minilm.LAYERS):
        layer = f"encoder.layer.{i}"
        for part in ("self.query", "self.key", "self.value", "output.dense"):
            dense[f"{layer}.attention.{part}"] = (HIDDEN, HIDDEN)
        dense[f"{layer}.intermediate.dense"] = (INNER, HIDDEN)
        dense[f"{layer}.output.dense"] = (HIDDEN, INNER)
        norms += [f"{layer}.attention.output.LayerNorm", f"{layer}.output.LayerNorm"]
    for name, shape in dense.items():
        shapes |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
    for name in norms:
        shapes |= {f"{name}.weight": (HIDDEN,), f"{name}.bias": (HIDDEN,)}
    return {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}


def plain_forward(w, ids):
    """The same network, one token, one head and one sum at a time, in float64."""

    def norm(x, name):
        centred = [row - np.mean(row) for row in x]
        scaled = [row / np.sqrt(np.mean(row**2) + 1e-12) for row in centred]
        return np.array([row * w[f"{name}.weight"] + w[f"{name}.bias"] for row in scaled])

    def dense(x, name):
        return np.einsum("ti,oi->to", x, w[f"{name}.weight"].astype(float)) + w[f"{name}.bias"]

    x = np.array(
        [
            w["embeddings.word_embeddings.weight"][i].astype(float)
            + w["embeddings.position_embeddings.weight"][at]
            + w["embeddings.token_type_embeddings.weight"][0]
            for at, i in enumerate(ids)
        ]
    )
    x = norm(x, "embeddings.LayerNorm")
    for i in range(minilm.LAYERS):
        layer = f"encoder.layer.{i}"
        q, k, v = (dense(x, f"{layer}.attention.self.{p}") for p in ("query", "key", "value"))
        size = HIDDEN // minilm.HEADS
        mixed = np.zeros_like(q)
        for head in range(minilm.HEADS):
            part = slice(head * size, (head + 1) * size)
            for t in range(len(ids)):
                weights = np.exp([q[t, part] @ k[s, part] / np.sqrt(size) for s in range(len(ids))])
                mixed[t, part] = (weights / weights.sum()) @ v[:, part]
        attended = dense(mixed, f"{layer}.attention.output.dense")
        x = norm(x + attended, f"{layer}.attention.output.LayerNorm")
        inner = dense(x, f"{layer}.intermediate.dense")
        inner = inner * 0.5 * (1 + erf(inner / np.sqrt(2)))
        x = norm(x + dense(inner, f"{layer}.output.dense"), f"{layer}.output.LayerNorm")
    return x.mean(axis=0)


@pytest.fixture(scope="module")
def weights():
    return random_weights(np.random.default_rng(0))


def test_forward_pass_is_that_of_the_formulas(tmp_path, weights):
    write_safetensors(tmp_path / minilm.WEIGHTS, weights)
    ids = np.random.default_rng(1).integers(50, size=TOKENS)
    vector = MinilmProvider(tmp_path, 128)._forward(ids)
    assert vector == pytest.approx(plain_forward(weights, ids), rel=1e-3, abs=1e-4)


def test_tensors_are_mapped(tmp_path, weights):
    write_safetensors(tmp_path / "w.safetensors", weights)
    read = read_safetensors(tmp_path / "w.safetensors")
    assert read.keys() == weights.keys()
    assert all(isinstance(tensor, np.memmap) for tensor in read.values())
    assert all((read[name] == weights[name]).all() for name in weights)


@pytest.mark.parametrize(
    "content", [b"", b"1234", b"\xff" * 64, (4).to_bytes(8, "little") + b"nope", None]
)
def test_file_that_holds_no_tensors_is_refused(tmp_path, content):
    if content is not None:
        (tmp_path / "w").write_bytes(content)
    with pytest.raises(EmbeddingError, match="no safetensors"):
        read_safetensors(tmp_path / "w")


def test_file_that_ends_too_soon_is_refused(tmp_path, weights):
    write_safetensors(tmp_path / "w", weights)
    (tmp_path / "w").write_bytes((tmp_path / "w").read_bytes()[:-40])
    with pytest.raises(EmbeddingError, match="no safetensors"):
        read_safetensors(tmp_path / "w")


def test_identity_follows_the_weights_and_the_cut(tmp_path):
    (tmp_path / minilm.WEIGHTS).write_bytes(b"one")
    one = MinilmProvider(tmp_path, 128).model
    assert MinilmProvider(tmp_path, 64).model != one
    (tmp_path / minilm.WEIGHTS).write_bytes(b"two")
    assert MinilmProvider(tmp_path, 128).model != one


def test_weights_that_are_not_there(tmp_path):
    with pytest.raises(EmbeddingError, match="No such file"):
        MinilmProvider(tmp_path / "none", 128).model  # noqa: B018


@pytest.mark.parametrize("missing", ["tokenizers", minilm.PACKAGE])
def test_without_the_group_it_is_not_set_up(monkeypatch, missing):
    found = importlib.util.find_spec
    there = found("json")
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == missing else there
    )
    with pytest.raises(NoProviderError, match="dependency group `embeddings`"):
        make({})


@needs_weights
def test_texts_that_mean_the_same_are_near():
    # The cosines that the authors of the model print for these sentences.
    texts = ["The cat sits outside", "The dog plays in the garden"]
    texts += ["The new movie is awesome", "The new movie is so great"]
    vectors = make({}).embed(texts)
    cosines = vectors @ vectors.T
    assert vectors.shape == (4, 384)
    assert cosines[0, 1] == pytest.approx(0.2838, abs=1e-3)
    assert cosines[2, 3] == pytest.approx(0.8939, abs=1e-3)


@needs_weights
def test_odd_texts_have_vectors_too():
    texts = ["", "!?…", "x" * 1_000_000, "wort " * 100_000, "書店 \U0001f4da Ünïcödé", "\u0000"]
    vectors = make({}).embed(texts)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(6), abs=1e-5)


@needs_weights
def test_folder_with_another_model(tmp_path):
    installed = minilm._installed_folder()
    (tmp_path / minilm.TOKENIZER).write_bytes((installed / minilm.TOKENIZER).read_bytes())
    write_safetensors(tmp_path / minilm.WEIGHTS, {"other": np.ones(3)})
    with pytest.raises(EmbeddingError, match="another model"):
        make({"folder": tmp_path}).embed(["a book"])


@needs_weights
def test_broken_tokenizer(tmp_path):
    (tmp_path / minilm.TOKENIZER).write_text("{}")
    with pytest.raises(EmbeddingError, match="no tokenizer"):
        make({"folder": tmp_path}).embed(["a book"])
