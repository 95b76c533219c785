"""
The data that comes with the project: real books, invented readers.

The catalogue states facts about real books, each described in a sentence written for this project.
The readers do not exist: they and their ratings are drawn from a seed, so nothing measured on them
says how good a model is for people. They show that everything works and that what can be learnt is
learnt.
"""

from importlib.resources import files

import numpy as np
import pandas as pd
import pyarrow as pa

from pipelines.data.schemas import BOOKS, RAW_RATINGS
from pipelines.data.sources.sample.simulate import simulate_readers

__all__ = ["LABEL", "read_catalogue", "read_sample", "simulate_readers"]

LABEL = "simulated readers over a catalogue of real books"


def read_sample(seed: int = 7) -> tuple[pa.Table, pa.Table]:
    """
    Ratings by simulated readers, and the real books that they rate.

    Args:
        seed: Decides who the readers are; the books are always the same.

    Returns:
        Ratings in schema RAW_RATINGS, oldest first, and books in schema BOOKS.
    """
    catalogue = read_catalogue()
    ratings = simulate_readers(catalogue, rng=np.random.default_rng(seed))
    return _ratings_table(ratings), _books_table(catalogue)


def read_catalogue() -> pd.DataFrame:
    """
    The books as in the CSV file, oldest first, with integer ids and years and without null.

    Authors and genres are lists; an empty cell of another column is the empty string.
    """
    with files(__name__).joinpath("catalogue.csv").open(encoding="utf-8") as file:
        found = pd.read_csv(file, dtype="str", keep_default_na=False)
    return found.assign(
        book_id=found["book_id"].astype("int64"),
        year=found["year"].astype("int64"),
        authors=found["authors"].str.split("; "),
        genres=found["genres"].str.split("; "),
    )


def _ratings_table(ratings: pd.DataFrame) -> pa.Table:
    columns = [
        ratings["user_id"].astype("str"),
        ratings["book_id"].astype("str"),
        ratings["rating"],
        ratings["rated_at"].dt.tz_convert(None).to_numpy(),  # Arrow's own way there warns
        range(1, len(ratings) + 1),
    ]
    arrays = [pa.array(c, f.type) for c, f in zip(columns, RAW_RATINGS, strict=True)]
    return pa.table(arrays, RAW_RATINGS)


def _books_table(catalogue: pd.DataFrame) -> pa.Table:
    columns = {name: catalogue[name].tolist() for name in catalogue} | {
        "book_id": catalogue["book_id"].astype("str").tolist(),
        "row": range(1, len(catalogue) + 1),
    }
    for name in ("language", "series", "isbn13"):
        columns[name] = [value or None for value in columns[name]]
    return pa.table([pa.array(columns[field.name], field.type) for field in BOOKS], BOOKS)
