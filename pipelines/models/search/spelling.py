"""The known words that an unknown one was probably meant to be."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from pipelines.models.artifact import Array

BUCKETS = 4096
NEAREST = 40
"""Words with the most pairs of letters in common that are looked at closely."""
SHORT_WORD = 5
"""Up to here one slip is believed, beyond it two; a short word is soon another one."""
LEAST_LETTERS = 3


@dataclass(frozen=True)
class Spelling:
    """
    Which words hold which pairs of neighbouring letters.

    Attributes:
        indptr: Where the words of each bucket of pairs begin, shape (BUCKETS + 1,).
        words: Positions in the table of words, ascending within a bucket.
        n_pairs: Of each word.
    """

    indptr: npt.NDArray[np.int64]
    words: npt.NDArray[np.int32]
    n_pairs: npt.NDArray[np.int32]

    @classmethod
    def of(cls, table: Sequence[bytes] | npt.NDArray[np.bytes_]) -> "Spelling":
        """From all known words."""
        pairs = [_pairs(word.decode("utf-8", "ignore")) for word in table]
        n_pairs = np.array([len(p) for p in pairs], np.int32)
        buckets = np.array([bucket for found in pairs for bucket in found], np.int64)
        order = np.argsort(buckets, kind="stable")
        counts = np.bincount(buckets, minlength=BUCKETS)
        words = np.repeat(np.arange(len(pairs), dtype=np.int32), n_pairs)
        return cls(np.concatenate([[0], np.cumsum(counts)]), words[order], n_pairs)

    @classmethod
    def load(cls, arrays: dict[str, Array]) -> Self:
        """From `arrays` as they were written."""
        return cls(*(arrays[f"spelling_{name}"] for name in ("indptr", "words", "n_pairs")))

    def arrays(self) -> dict[str, Array]:
        """To be written."""
        return {f"spelling_{name}": value for name, value in vars(self).items()}

    def nearest(
        self, word: str, table: npt.NDArray[np.bytes_]
    ) -> tuple[npt.NDArray[np.int64], float]:
        """Where the most alike words stand in the table, and how alike they are, from 0 to 1."""
        pairs = _pairs(word)
        shared = [self.words[self.indptr[b] : self.indptr[b + 1]] for b in pairs]
        if not len(table) or len(word) < LEAST_LETTERS:
            return np.empty(0, np.int64), 0.0
        counts = np.bincount(np.concatenate(shared), minlength=len(table))
        near = np.argsort(-2 * counts / (len(pairs) + self.n_pairs), kind="stable")[:NEAREST]
        slips = np.array([distance(word, table[i].decode("utf-8", "ignore")) for i in near])
        least = int(slips.min())
        if least > (1 if len(word) <= SHORT_WORD else 2):
            return np.empty(0, np.int64), 0.0
        return np.sort(near[slips == least]), 1 - least / len(word)


def distance(one: str, other: str) -> int:
    """
    Letters to add, drop, change or swap with their neighbour, to get from one word to the other.

    The optimal string alignment of Damerau and Levenshtein.
    """
    before: list[int] = []
    last = list(range(len(other) + 1))
    for i, letter in enumerate(one, 1):
        row = [i]
        for j, wanted in enumerate(other, 1):
            cost = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (letter != wanted))
            if i > 1 and j > 1 and letter == other[j - 2] and one[i - 2] == wanted:
                cost = min(cost, before[j - 2] + 1)
            row.append(cost)
        before, last = last, row
    return last[-1]


def _pairs(word: str) -> list[int]:
    """Buckets of the pairs of neighbouring letters, both ends of the word included."""
    bounded = f"^{word}$"
    pairs = (bounded[i : i + 2] for i in range(len(bounded) - 1))
    return sorted({zlib.crc32(pair.encode("utf-8", "replace")) % BUCKETS for pair in pairs})
