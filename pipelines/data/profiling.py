"""The profile of a batch: what it holds, in a few tens of kilobytes that are kept for ever."""

from typing import Annotated

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict, Field

from pipelines.data.distributions import IdSketch, Names, Numbers, concentration

Column = Annotated[Numbers | Names, Field(discriminator="kind")]

NUMBERS = ("year",)
NAMES = ("language", "genres")
"""The other columns of the catalogue are text."""
PER_READER, PER_BOOK = "ratings_per_reader", "ratings_per_book"


class Profile(BaseModel):
    """
    One batch after cleaning, without a row of it.

    Attributes:
        columns: Of ratings `rating` and `rated_at` (days since 1970), of the catalogue all its
            own; and `ratings_per_reader` and `ratings_per_book`, of those who have any.
        activity: Share of all ratings that the most active 0, 1, … 100 % of the readers gave.
        popularity: Share of all ratings that the most rated 0, 1, … 100 % of the books got.
        months: Ratings in each month, `2024-05`, where the time is known.
    """

    model_config = ConfigDict(frozen=True)

    ratings: int
    readers: int
    books: int
    columns: dict[str, Column]
    activity: list[float]
    popularity: list[float]
    months: dict[str, int]
    reader_ids: IdSketch
    book_ids: IdSketch

    def numbers(self, name: str) -> Numbers:
        """
        A column of numbers.

        Raises:
            TypeError: it holds names.
        """
        column = self.columns[name]
        if not isinstance(column, Numbers):
            raise TypeError(f"{name} is no column of numbers")
        return column


def profile_batch(ratings: pa.Table, books: pa.Table, readers: pa.Array) -> Profile:
    """
    Profile clean tables.

    Args:
        ratings: Schema RAW_RATINGS, ids of either type.
        books: Schema BOOKS.
        readers: Every user_id of the batch.
    """
    per_reader, per_book = ratings_of_each(ratings["user_id"]), ratings_of_each(ratings["book_id"])
    columns: dict[str, Column] = {
        "rating": Numbers.of(ratings["rating"]),
        "rated_at": Numbers.of(days(ratings["rated_at"])),
        **{
            name: _catalogue_column(name, books[name])
            for name in books.column_names
            if name not in ("book_id", "row")
        },
        PER_READER: Numbers.of(pa.array(per_reader)),
        PER_BOOK: Numbers.of(pa.array(per_book)),
    }
    return Profile(
        ratings=ratings.num_rows,
        readers=len(readers),
        books=books.num_rows,
        columns=columns,
        activity=concentration(per_reader),
        popularity=concentration(per_book),
        months=_months(ratings["rated_at"]),
        reader_ids=IdSketch.of(readers),
        book_ids=IdSketch.of(books["book_id"]),
    )


def days(times: pa.ChunkedArray) -> pa.ChunkedArray:
    """Whole days since 1970, UTC."""
    return times.cast(pa.timestamp("us")).cast(pa.date32()).cast(pa.int32())


def ratings_of_each(ids: pa.ChunkedArray) -> npt.NDArray[np.int64]:
    """How often each distinct id stands in a column, in no particular order."""
    counts: npt.NDArray[np.int64] = pc.value_counts(ids).field("counts").to_numpy()
    return counts


def _catalogue_column(name: str, column: pa.ChunkedArray) -> Column:
    if name in NUMBERS:
        return Numbers.of(column)
    return Names.of(column, text=name not in NAMES)


def _months(times: pa.ChunkedArray) -> dict[str, int]:
    months = times.drop_null().cast(pa.timestamp("us")).to_numpy().astype("datetime64[M]")
    found, counts = np.unique(months, return_counts=True)
    return dict(zip(found.astype(str).tolist(), counts.tolist(), strict=True))
