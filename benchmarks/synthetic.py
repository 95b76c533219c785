"""
Invented readers in any number, for measurements that need size rather than truth.

Readers grow with the ratings and books with their square root, as libraries do: one million
ratings are 10,000 readers of 10,000 books, thirty million 300,000 readers of 55,000. Activity is
log-normal, fame within a taste follows Zipf's law, and a reader has a few tastes, so that there is
something to learn.
"""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv as pa_csv

from pipelines.data.dataset import Dataset
from pipelines.data.interactions import Vocabulary
from pipelines.data.schemas import BOOKS
from pipelines.data.splits import Part

RATINGS_A_READER = 100
ACTIVITY_SPREAD = 0.8
FEWEST = 5
N_TASTES = 20
TASTE_SHARES = (0.45, 0.25, 0.15)
"""Of a reader's books; the rest come from any taste."""
FAME_EXPONENT = 0.8
LIKED_SHARE = 0.7
SPARE = 1.25
"""Draws a rating: a book drawn twice by a reader counts once."""

Nums = npt.NDArray[np.int64]


def library_size(n_ratings: int) -> tuple[int, int]:
    """Readers and books that go with so many ratings."""
    return max(50, n_ratings // RATINGS_A_READER), max(200, int(10 * np.sqrt(n_ratings)))


def synthetic_dataset(n_ratings: int, *, n_books: int | None = None, seed: int = 0) -> Dataset:
    """About `n_ratings` rows, all of them to train on; a tenth or so more or fewer."""
    rng = np.random.default_rng(seed)
    n_readers, usual = library_size(n_ratings)
    n_books = n_books or usual
    readers = np.repeat(np.arange(n_readers), _activity(n_readers, n_books, rng))
    books = _books(_tastes(readers, n_readers, rng), n_books, rng)
    pairs = np.unique(readers * n_books + books)
    user_nums, book_nums = pairs // n_books, pairs % n_books
    return Dataset(
        users=Vocabulary(np.arange(n_readers)),
        books=Vocabulary(np.arange(n_books)),
        catalogue=_catalogue(n_books, rng),
        user_nums=user_nums.astype(np.int32),
        book_nums=book_nums.astype(np.int32),
        weights=(rng.random(len(pairs)) < LIKED_SHARE).astype(np.float32),
        parts=np.full(len(pairs), Part.TRAIN, np.int8),
        ordered=False,
    )


def write(n_ratings: int, folder: Path, *, seed: int = 0) -> int:
    """Save a dataset of that size; returns how many rows it really has."""
    dataset = synthetic_dataset(n_ratings, seed=seed)
    folder.mkdir(parents=True)
    dataset.save(folder)
    return len(dataset.user_nums)


def write_ratings(n_ratings: int, path: Path, *, seed: int = 0) -> int:
    """
    A CSV of about so many ratings with times, in no order; returns how many rows it has.

    One row in a thousand repeats a pair, and one in ten thousand is off the scale of 1 to 5.
    """
    rng = np.random.default_rng(seed)
    found = synthetic_dataset(n_ratings, seed=seed)
    n_rows = len(found.user_nums)
    order = np.append(rng.permutation(n_rows), rng.integers(n_rows, size=n_rows // 1000))
    ratings = np.where(found.weights[order] > 0, 4, 1) + rng.integers(2, size=len(order))
    ratings[rng.integers(len(order), size=len(order) // 10_000)] = 9
    table = pa.table(
        {
            "user_id": found.user_nums[order] + 1,
            "book_id": found.book_nums[order] + 1,
            "rating": ratings,
            "timestamp": rng.integers(1_300_000_000, 1_700_000_000, size=len(order)),
        }
    )
    pa_csv.write_csv(table, path)
    return len(order)


def _activity(n_readers: int, n_books: int, rng: np.random.Generator) -> Nums:
    mean = SPARE * RATINGS_A_READER
    drawn = rng.lognormal(np.log(mean) - ACTIVITY_SPREAD**2 / 2, ACTIVITY_SPREAD, n_readers)
    return np.clip(drawn, FEWEST, n_books // 4).astype(np.int64)


def _tastes(readers: Nums, n_readers: int, rng: np.random.Generator) -> Nums:
    """The taste that each draw follows, shape (n_draws,)."""
    own = rng.integers(N_TASTES, size=(n_readers, len(TASTE_SHARES)))
    which = np.searchsorted(np.cumsum(TASTE_SHARES), rng.random(len(readers)))
    any_taste = rng.integers(N_TASTES, size=len(readers))
    is_own = which < len(TASTE_SHARES)
    return np.where(is_own, own[readers, np.minimum(which, len(TASTE_SHARES) - 1)], any_taste)


def _books(tastes: Nums, n_books: int, rng: np.random.Generator) -> Nums:
    """A book of each taste, the famous more often; book_nums are scattered over tastes and fame."""
    n_each = n_books // N_TASTES
    odds = np.cumsum(np.arange(1, n_each + 1) ** -FAME_EXPONENT)
    ranks = np.searchsorted(odds / odds[-1], rng.random(len(tastes)))
    return rng.permutation(n_books)[np.minimum(ranks, n_each - 1) * N_TASTES + tastes]


def _catalogue(n_books: int, rng: np.random.Generator) -> pa.Table:
    words = np.array([f"word{i}" for i in range(2000)])
    text = words[np.minimum(rng.zipf(1.3, (n_books, 30)), len(words)) - 1]
    columns = {
        "book_id": np.arange(n_books),
        "title": [" ".join(line[:4]) for line in text],
        "authors": [[f"Author {i}"] for i in rng.integers(n_books // 4, size=n_books)],
        "year": rng.integers(1900, 2026, n_books),
        "language": ["en"] * n_books,
        "genres": [[f"genre {i}"] for i in rng.integers(40, size=n_books)],
        "series": [None] * n_books,
        "isbn13": [None] * n_books,
        "description": [" ".join(line) for line in text],
        "row": np.arange(1, n_books + 1),
    }
    schema = BOOKS.set(0, pa.field("book_id", pa.int64()))
    ratings = pa.array(rng.uniform(1, 5, n_books))
    return pa.table(columns, schema=schema).append_column("mean_rating", ratings)
