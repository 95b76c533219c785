"""Vocabularies as arrays of an artifact."""

import numpy as np

from pipelines.data.interactions import Vocabulary
from pipelines.models.artifact import Array, Artifact


def vocabulary_arrays(name: str, vocabulary: Vocabulary) -> dict[str, Array]:
    """Integers as they are; text as UTF-8 bytes and where each id ends."""
    if vocabulary.is_integer:
        return {f"{name}_ids": vocabulary.array}
    encoded = [str(text).encode() for text in vocabulary]
    return {
        f"{name}_text": np.frombuffer(b"".join(encoded), np.uint8),
        f"{name}_ends": np.cumsum([len(text) for text in encoded], dtype=np.int64),
    }


def read_vocabulary(artifact: Artifact, name: str) -> Vocabulary:
    if f"{name}_ids" in artifact.arrays:
        return Vocabulary(artifact.array(f"{name}_ids"))
    text, ends = artifact.array(f"{name}_text").tobytes(), artifact.array(f"{name}_ends").tolist()
    return Vocabulary([text[i:j].decode() for i, j in zip([0, *ends], ends, strict=False)])
