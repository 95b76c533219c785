"""Small clean batches, as the stage `clean` writes them."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import product

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.data.profiling import Profile, profile_batch
from pipelines.data.schemas import BOOKS, RATING_FIELDS

START = datetime(2024, 1, 1, tzinfo=UTC)
RATINGS = pa.schema(
    [pa.field("user_id", pa.int64()), pa.field("book_id", pa.int64()), *RATING_FIELDS]
)


def ratings(
    n_readers: int = 20, n_books: int = 10, *, values: Sequence[float] = (3, 4, 5)
) -> pa.Table:
    """Every reader rates every book, one a day; ratings take turns."""
    pairs = list(product(range(1, n_readers + 1), range(1, n_books + 1)))
    columns = {
        "user_id": [reader for reader, _ in pairs],
        "book_id": [book for _, book in pairs],
        "rating": np.resize(np.asarray(values, float), len(pairs)),
        "rated_at": [START + timedelta(days=book) for _, book in pairs],
        "row": range(1, len(pairs) + 1),
    }
    return pa.table(columns, RATINGS)


def books(n_books: int = 10, **changes: Sequence[object]) -> pa.Table:
    """A catalogue without a gap."""
    columns: dict[str, Sequence[object]] = {
        "book_id": range(1, n_books + 1),
        "title": [f"Title {num}" for num in range(n_books)],
        "authors": [["A. Writer"]] * n_books,
        "year": [1950 + num for num in range(n_books)],
        "language": ["en"] * n_books,
        "genres": [["novel"]] * n_books,
        "series": ["Saga"] * n_books,
        "isbn13": ["9780140449136"] * n_books,
        "description": ["About."] * n_books,
        "row": range(1, n_books + 1),
    }
    return pa.table(columns | changes, BOOKS.set(0, pa.field("book_id", pa.int64())))


def profiled(rated: pa.Table, catalogue: pa.Table | None = None) -> Profile:
    """The profile of a batch whose readers all rate."""
    return profile_batch(
        rated, books() if catalogue is None else catalogue, pc.unique(rated["user_id"])
    )
