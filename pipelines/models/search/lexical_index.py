"""
Books by the words that are written about them: what a librarian's card index finds.

Words are compared without case, accents and the plural's s. A word that no book has is read as the
nearest one that some book has, so that a misspelt title is found all the same.
"""

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse

from pipelines.models.artifact import read_artifact, write_artifact
from pipelines.models.base import ModelConfig, Scores
from pipelines.models.search.postings import (
    TOKEN_BYTES,
    UNKNOWN,
    Positions,
    Postings,
    counted,
    value_list,
)
from pipelines.models.search.spelling import Spelling

KIND = "lexical_index"
WORD = re.compile(r"[^\W_]+")
INITIALS = re.compile(r"\b[^\W\d_](?:[. ]{1,2}[^\W\d_]\b)+")
APOSTROPHES = re.compile("['`\u2019\u02bc\u00b4]")
WORD_FIELDS = {"title": 1.0, "series": 0.8, "authors": 0.8, "genres": 0.3, "description": 0.5}
"""What it is worth if a field consists of the words of the query and of nothing else."""
PHRASE_FIELDS = {"title": 1.0, "series": 0.5, "authors": 1.0, "genres": 1.0}
"""What it is worth further if the query is one of the field's names, word by word."""
TITLE, SERIES = 0, 1
"""Places of these in `WORD_FIELDS`; a series is often named as its first title, so one counts."""
QUERY_WORDS = 32
PHRASE_WORDS = 8
LEAST_IDF = 0.1
"""Of a word that every book has: titles are made of such words, too."""


class LexicalConfig(ModelConfig):
    """What the index needs to know beside its arrays."""

    n_books: int


class LexicalIndex:
    """
    Scores a book by the squared cosines of its fields' TF-IDF with the query, and by whole names.

    Squared, since a word in common makes a title no answer, and all words in common make it one.

    A word's IDF is that over all fields, so that `novel` counts little in a title as well. The
    words that a field lacks count to the length of the query. A name that stands in the query as a
    whole counts by its share of the query, squared as well.
    """

    def __init__(
        self,
        words: Postings,
        idf: npt.NDArray[np.float32],
        phrases: Postings,
        spelling: Spelling,
        n_books: int,
    ) -> None:
        """
        Args:
            words: Of `WORD_FIELDS`.
            idf: Of each word.
            phrases: Whole names, of `PHRASE_FIELDS`.
            spelling: Of the words.
            n_books: Length of the scores.
        """
        self._words = words
        self._idf = idf
        self._phrases = phrases
        self._spelling = spelling
        self._config = LexicalConfig(n_books=n_books)

    @classmethod
    def build(cls, books: pd.DataFrame, max_words: int) -> Self:
        """
        Read the books.

        Args:
            books: As in `TrainingData`.
            max_words: Of those that stand in descriptions alone the most frequent ones are kept.
        """
        words = (map(_words_of, books[field]) for field in WORD_FIELDS)
        table, counts = counted(words, len(books))
        n_holding = np.diff(sum(counts, start=_nothing(counts[0])).tocsc().indptr)
        elsewhere = np.diff(sum(counts[:-1], start=_nothing(counts[0])).tocsc().indptr) > 0
        ranks = np.empty(len(table), np.int64)
        ranks[np.argsort(np.where(elsewhere, 0, -n_holding), kind="stable")] = np.arange(len(table))
        kept = np.flatnonzero(elsewhere | (ranks < max_words))
        idf = np.log((1 + len(books)) / (1 + n_holding[kept])) + LEAST_IDF
        fields = [_unit_tf_idf(matrix[:, kept], idf) for matrix in counts]
        phrases = (map(_phrases_of, books[field]) for field in PHRASE_FIELDS)
        names, held = counted(phrases, len(books))
        for matrix in held:
            matrix.data[:] = 1
        return cls(
            Postings.of(table[kept], fields),
            idf.astype(np.float32),
            Postings.of(names, held),
            Spelling.of(table[kept]),
            len(books),
        )

    def scores(self, query: str) -> Scores:
        """One score a book, shape (n_books,); 0 where nothing of the query is written."""
        asked = search_words(query)[:QUERY_WORDS]
        meanings = {word: self._meaning(word) for word in asked}
        unknown = float(np.log(1 + self._config.n_books)) + LEAST_IDF
        idfs = {w: max(self._idf[at], default=unknown) for w, (at, _) in meanings.items()}
        length = float(np.sqrt(sum(idf**2 for idf in idfs.values()))) or 1.0
        by_field = np.zeros((len(WORD_FIELDS), self._config.n_books))
        for at, likeness in meanings.values():
            for position in at.tolist():
                worth = likeness * float(self._idf[position]) / length
                for field in range(len(WORD_FIELDS)):
                    self._words.add(by_field[field], field, position, worth)
        by_field = by_field**2 * np.array(list(WORD_FIELDS.values()))[:, np.newaxis]
        by_field[TITLE] = np.maximum(by_field[TITLE], by_field[SERIES])
        by_field[SERIES] = 0
        total = by_field.sum(axis=0)
        self._add_phrases(total, asked, {w: idf / length for w, idf in idfs.items()})
        return total.astype(np.float32)

    def _add_phrases(
        self, total: npt.NDArray[np.float64], asked: Sequence[str], shares: dict[str, float]
    ) -> None:
        """Add for each run of words that is a name its share of the query."""
        n = len(asked)
        runs = [asked[i:j] for i in range(n) for j in range(i + 1, min(i + PHRASE_WORDS, n) + 1)]
        positions = self._phrases.positions([" ".join(run) for run in runs])
        for run, position in zip(runs, positions.tolist(), strict=True):
            if position != UNKNOWN:
                share = sum(shares[word] ** 2 for word in set(run))
                for field, boost in enumerate(PHRASE_FIELDS.values()):
                    self._phrases.add(total, field, position, boost * share**2)

    def _meaning(self, word: str) -> tuple[Positions, float]:
        """Where the word stands, or else the words most like it, and how like it they are."""
        at = self._words.positions([word])
        if at[0] != UNKNOWN:
            return at, 1.0
        return self._spelling.nearest(word[:TOKEN_BYTES], self._words.tokens)

    def save(self, folder: Path) -> None:
        """Write the index as an artifact of its own."""
        arrays = {
            "idf": self._idf,
            **self._words.arrays("words"),
            **self._phrases.arrays("phrases"),
            **self._spelling.arrays(),
        }
        write_artifact(folder, KIND, self._config, arrays)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """
        Map a saved index into memory.

        Raises:
            ArtifactError: the folder holds no such index.
        """
        artifact = read_artifact(folder, KIND)
        return cls(
            Postings.load("words", artifact.arrays),
            artifact.array("idf"),
            Postings.load("phrases", artifact.arrays),
            Spelling.load(artifact.arrays),
            artifact.config_as(LexicalConfig).n_books,
        )


def search_words(text: str) -> list[str]:
    """Words as they are compared; initials are one word, `J.K.` as well as `J. K.` and `JK`."""
    text = APOSTROPHES.sub("", text.casefold())
    if not text.isascii():
        letters = unicodedata.normalize("NFKD", text)
        text = "".join(letter for letter in letters if not unicodedata.combining(letter))
    joined = INITIALS.sub(lambda run: re.sub(r"\W", "", run[0]), text)
    return [w[:-1] if len(w) > 3 and w[-1] == "s" else w for w in WORD.findall(joined)]


_words_of_name = lru_cache(maxsize=10_000)(search_words)
"""For fields of which many books say the same."""


def _words_of(value: object) -> list[str]:
    if isinstance(value, str):
        return search_words(value)
    return [word for text in value_list(value) for word in _words_of_name(text)]


def _phrases_of(value: object) -> list[str]:
    return [" ".join(found) for text in value_list(value) if (found := _words_of_name(text))]


def _nothing(like: sparse.csr_array) -> sparse.csr_array:
    return sparse.csr_array(like.shape, dtype=like.dtype)


def _unit_tf_idf(counts: sparse.csr_array, idf: npt.NDArray[np.floating]) -> sparse.csr_array:
    """(1 + log tf) idf, rows of unit length; empty ones stay empty."""
    weighted = counts.copy().astype(np.float64)
    weighted.data = 1 + np.log(weighted.data)
    weighted = weighted @ sparse.diags_array(idf)
    lengths = np.sqrt(np.asarray(weighted.multiply(weighted).sum(axis=1)))
    return sparse.csr_array(sparse.diags_array(1 / np.where(lengths > 0, lengths, 1)) @ weighted)
