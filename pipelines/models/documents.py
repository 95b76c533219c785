"""What is written about a book: as one text, and as weighted TF-IDF rows."""

import re
from collections.abc import Callable, Iterable
from typing import Any

import pandas as pd
from pydantic import Field
from scipy import sparse

from pipelines.models.base import ModelConfig

WORD = re.compile(r"[^\W_]{2,}")
_LETTER = re.compile(r"[^\W_]")


class FieldWeights(ModelConfig):
    """How much each field counts in the likeness of two books; 0 leaves it out."""

    title: float = Field(0.5, ge=0)
    authors: float = Field(1.0, ge=0)
    series: float = Field(1.0, ge=0)
    genres: float = Field(2.0, ge=0)
    description: float = Field(1.0, ge=0)


def document_matrix(books: pd.DataFrame, weights: FieldWeights, max_words: int) -> sparse.csr_array:
    """
    One row a book: TF-IDF rows of unit length for each field, times its weight, side by side.

    The inner product of two rows is so the weighted sum of the fields' cosines, and a long
    description outweighs no author. A book without text has an empty row.
    """
    blocks = [
        weight * block
        for field, weight in weights.model_dump().items()
        if weight and (block := _field_block(books[field], TOKENS[field], max_words)) is not None
    ]
    if not blocks:
        return sparse.csr_array((len(books), 1))
    return sparse.csr_array(sparse.hstack(blocks, format="csr"))


def _field_block(
    column: "pd.Series[Any]", tokens: Callable[[Any], list[str]], max_words: int
) -> sparse.csr_array | None:
    """TF-IDF of one field; None where no book has anything in it."""
    # Imported here because serving never fits, and is smaller by 170 MB without.
    from sklearn.feature_extraction.text import TfidfVectorizer

    documents = [tokens(value) for value in column]
    if not any(documents):
        return None
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
