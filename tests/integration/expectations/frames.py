"""Small tables without a defect, typed as the stages hand them over, and ways to spoil one."""

from collections.abc import Iterable
from datetime import UTC, datetime
from itertools import product

import pandas as pd
import pyarrow as pa

from pipelines.data.schemas import BOOKS, RAW_RATINGS

NOW = datetime(2026, 1, 31, tzinfo=UTC)
FIRST_ROW = 101
"""Row numbers start here, so that a position taken for a row number is noticed."""


def ratings() -> pd.DataFrame:
    """Five readers have rated four books each: 20 rows, numbered from 101."""
    pairs = list(product(["ann", "ben", "cid", "dora", "eve"], ["b1", "b2", "b3", "b4"]))
    table = {
        "user_id": [user for user, _ in pairs],
        "book_id": [book for _, book in pairs],
        "rating": [1.0, 2.0, 3.0, 4.0, 5.0] * 4,
        "rated_at": [datetime(2025, 1, 1 + day, tzinfo=UTC) for day in range(20)],
        "row": range(FIRST_ROW, FIRST_ROW + 20),
    }
    return pa.table(table, RAW_RATINGS).to_pandas()


def books() -> pd.DataFrame:
    """Twenty books, numbered from 101."""
    table = {
        "book_id": [f"b{num}" for num in range(20)],
        "title": [f"Title {num}" for num in range(20)],
        "authors": [["A. Writer"]] * 20,
        "year": [-750, None, *range(1950, 1968)],
        "language": ["en"] * 20,
        "genres": [["novel"], []] * 10,
        "series": [None] * 20,
        "isbn13": ["9780140449136", None] * 10,
        "description": [None] * 20,
        "row": range(FIRST_ROW, FIRST_ROW + 20),
    }
    return pa.table(table, BOOKS).to_pandas()


def features() -> pd.DataFrame:
    """Ten books as models see them."""
    return pd.DataFrame(
        {
            "book_num": range(10),
            "book_id": [f"b{num}" for num in range(10)],
            "title": [f"Title {num}" for num in range(10)],
            "n_words": [0, 1] * 5,
            "likes": [0] * 9 + [3],
        }
    )


def spoiled(frame: pd.DataFrame, column: str, values: Iterable[object]) -> pd.DataFrame:
    """The frame with the first values of a column replaced."""
    new = list(values)
    rest = frame[column].iloc[len(new) :].tolist()
    return frame.assign(**{column: pd.Series([*new, *rest], dtype=frame[column].dtype)})
