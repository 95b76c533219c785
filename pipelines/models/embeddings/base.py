"""What a provider of embeddings promises, and how its answers are checked."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from pipelines.errors import EmbeddingError

Vectors = npt.NDArray[np.float32]

TFIDF = "tfidf"
"""The name that stands for no provider, but for what the content model makes of words itself."""


class EmbeddingProvider(Protocol):
    """Turns texts into vectors whose inner products say how alike the texts are."""

    @property
    def name(self) -> str:
        """By which a configuration asks for it."""

    @property
    def model(self) -> str:
        """
        Everything that decides what vector a text gets: the model, where a text is cut.

        Vectors are kept under this identity, and are never mixed with those of another.
        """

    def embed(self, texts: Sequence[str], *, urgent: bool = False) -> Vectors:
        """
        One row of unit length a text, shape (n_texts, size), float32.

        Args:
            texts: Not empty.
            urgent: Somebody waits for it: rather fail soon than answer late.

        Raises:
            EmbeddingError: the provider failed, or what it answered is no embedding.
        """


def checked(provider: str, answer: Any, n_texts: int) -> Vectors:
    """
    An answer of numbers as rows of unit length.

    Raises:
        EmbeddingError: not one row a text, rows of unequal length, or a row that is not finite or
            has no direction.
    """
    try:
        vectors = np.array(answer, np.float64)
    except (ValueError, TypeError):
        raise EmbeddingError(f"{provider} answered with vectors of unequal length") from None
    if vectors.ndim != 2 or len(vectors) != n_texts or not vectors.shape[1]:
        raise EmbeddingError(
            f"{provider} answered with shape {vectors.shape} to {n_texts} texts: one row each"
        )
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    # Lengths that overflow are infinite, and a row with NaN has the length NaN.
    if not np.isfinite(lengths).all():
        raise EmbeddingError(f"{provider} answered with numbers that are not finite")
    if not (lengths > 0).all():
        raise EmbeddingError(f"{provider} answered with a vector of zeros")
    return (vectors / lengths).astype(np.float32)
