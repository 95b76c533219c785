"""What is written about a book: as one text, and as weighted TF-IDF rows."""

import re
from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import Field
from scipy import sparse

from pipelines.data.features import FeatureCache, content_hash
from pipelines.models.base import ModelConfig

RECIPE = "1"
"""Counts up when `_field_block` or `TOKENS` change, so that no block of the old kind is found."""

WORD = re.compile(r"[^\W_]{2,}")
_LETTER = re.compile(r"[^\W_]")


class FieldWeights(ModelConfig):
    """How much each field counts in the likeness of two books; 0 leaves it out."""

    title: float = Field(0.5, ge=0)
    authors: float = Field(1.0, ge=0)
    series: float = Field(1.0, ge=0)
    genres: float = Field(2.0, ge=0)
    description: float = Field(1.0, ge=0)


def document_matrix(
    books: pd.DataFrame, weights: FieldWeights, max_words: int, cache_folder: Path | None = None
) -> sparse.csr_array:
    """
    One row a book: TF-IDF rows of unit length for each field, times its weight, side by side.

    The inner product of two rows is so the weighted sum of the fields' cosines, and a long
    description outweighs no author. A book without text has an empty row. With a `cache_folder` a
    field that has not changed is read from there.
    """
    cache = FeatureCache(cache_folder)
    blocks = [
        weight * block
        for field, weight in weights.model_dump().items()
        if weight and (block := _cached_block(cache, field, books[field], max_words)).shape[1]
    ]
    if not blocks:
        return sparse.csr_array((len(books), 1))
    return sparse.csr_array(sparse.hstack(blocks, format="csr"))


def _cached_block(
    cache: FeatureCache, field: str, column: "pd.Series[Any]", max_words: int
) -> sparse.csr_array:
    recipe = (RECIPE, version("scikit-learn"), str(max_words), str(len(column)))
    made_from = content_hash([*recipe, *_written(column)])
    return cache.get(
        f"tfidf-{field}", made_from, lambda: _field_block(column, TOKENS[field], max_words)
    )


def _written(column: "pd.Series[Any]") -> Iterator[str]:
    """What a column says, row by row, with lists told from texts."""
    for value in column:
        if isinstance(value, str):
            yield value
        elif value is None or not isinstance(value, Iterable):
            yield "\0"
        else:
            yield "\0" + "\0".join(part for part in value if isinstance(part, str))


def _field_block(
    column: "pd.Series[Any]", tokens: Callable[[Any], list[str]], max_words: int
) -> sparse.csr_array:
    """TF-IDF of one field; no columns where no book has anything in it."""
    # Imported here because serving never fits, and is smaller by 170 MB without.
    from sklearn.feature_extraction.text import TfidfVectorizer

    documents = [tokens(value) for value in column]
    if not any(documents):
        return sparse.csr_array((len(documents), 0))
    vectorizer = TfidfVectorizer(analyzer=_as_is, sublinear_tf=True, max_features=max_words)
    return sparse.csr_array(vectorizer.fit_transform(documents))


def _as_is(tokens: list[str]) -> list[str]:
    return tokens


def book_texts(books: pd.DataFrame) -> list[str]:
    """
    Title, authors, series, genres and description of each book as one text.

    Empty for a book of which no word is written, punctuation being none.
    """
    fields = (books[field].tolist() for field in TOKENS)
    texts = [". ".join(filter(None, map(_plain, values))) for values in zip(*fields, strict=True)]
    return [text if _LETTER.search(text) else "" for text in texts]


def _plain(value: Any) -> str:
    """A text, or texts joined; empty where missing."""
    if isinstance(value, str):
        return value.strip()
    if value is None or not isinstance(value, Iterable):  # pandas writes what is missing as NaN
        return ""
    return ", ".join(text.strip() for text in value if isinstance(text, str))


def words(text: object) -> list[str]:
    """Lower-case words of two letters or more; none for a missing text."""
    return WORD.findall(text.lower()) if isinstance(text, str) else []


def name(text: object) -> list[str]:
    """A name as one token, whatever its spacing and punctuation: `J.K. Rowling` -> `jk rowling`."""
    token = " ".join(re.sub(r"[^\w\s]", "", text.lower()).split()) if isinstance(text, str) else ""
    return [token] if token else []


def names(texts: Iterable[object] | None) -> list[str]:
    """Each name as one token; none for a missing list."""
    if texts is None or isinstance(texts, float):  # pandas writes a missing list as NaN
        return []
    return [token for text in texts for token in name(text)]


TOKENS: dict[str, Callable[[Any], list[str]]] = {
    "title": words,
    "authors": names,
    "series": name,
    "genres": names,
    "description": words,
}
