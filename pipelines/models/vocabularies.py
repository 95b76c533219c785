"""Vocabularies as arrays of an artifact."""

from collections.abc import Iterable

import numpy as np

from pipelines.data.interactions import Vocabulary
from pipelines.models.artifact import Array, Artifact


def vocabulary_arrays(name: str, vocabulary: Vocabulary) -> dict[str, Array]:
    """Integers as they are; text as UTF-8 bytes and where each id ends; aliases, if there are."""
    arrays = (
        {f"{name}_ids": vocabulary.array}
        if vocabulary.is_integer
        else _text_arrays(name, map(str, vocabulary))
    )
    if vocabulary.aliases:
        meant = vocabulary.nums(np.array([*vocabulary.aliases.values()]))
        arrays |= _text_arrays(f"{name}_alias", vocabulary.aliases)
        arrays[f"{name}_alias_nums"] = meant
    return arrays


def read_vocabulary(artifact: Artifact, name: str) -> Vocabulary:
    if f"{name}_ids" in artifact.arrays:
        vocabulary = Vocabulary(artifact.array(f"{name}_ids"))
    else:
        vocabulary = Vocabulary(_texts(artifact, name))
    if f"{name}_alias_nums" not in artifact.arrays:
        return vocabulary
    meant = vocabulary.ids(artifact.array(f"{name}_alias_nums"))
    aliases = dict(zip(_texts(artifact, f"{name}_alias"), meant, strict=True))
    return vocabulary.with_aliases(aliases)


def _text_arrays(name: str, texts: Iterable[str]) -> dict[str, Array]:
    encoded = [text.encode() for text in texts]
    return {
        f"{name}_text": np.frombuffer(b"".join(encoded), np.uint8),
        f"{name}_ends": np.cumsum([len(text) for text in encoded], dtype=np.int64),
    }


def _texts(artifact: Artifact, name: str) -> list[str]:
    text, ends = artifact.array(f"{name}_text").tobytes(), artifact.array(f"{name}_ends").tolist()
    return [text[i:j].decode() for i, j in zip([0, *ends], ends, strict=False)]
