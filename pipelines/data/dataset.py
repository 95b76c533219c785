"""The prepared data of one run: vocabularies, interactions with their split, and the catalogue."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines.data.interactions import Id, Interactions, TrainingData, Vocabulary
from pipelines.data.schemas import BOOKS
from pipelines.data.splits import Part

ORDERED = b"bookrec.ordered"


@dataclass(frozen=True)
class Dataset:
    """
    Rows stand in the order of reading within a reader.

    Attributes:
        users: Every reader seen in the input, also those without a usable row.
        books: Every book of the catalogue, with the ids of its editions as aliases.
        catalogue: Schema BOOKS with ids in their own type and `mean_rating`, in vocabulary order.
        user_nums: Shape (n_rows,), int32.
        book_nums: Shape (n_rows,), int32.
        weights: Shape (n_rows,), float32; zero is met without being liked.
        parts: Shape (n_rows,), int8 codes of `Part`.
        ordered: Whether the order of reading is known; else the order of rows means nothing.
        days: Shape (n_rows,), float32, days since 1970; NaN where unknown, None if all are.
    """

    users: Vocabulary
    books: Vocabulary
    catalogue: pa.Table
    user_nums: npt.NDArray[np.int32]
    book_nums: npt.NDArray[np.int32]
    weights: npt.NDArray[np.float32]
    parts: npt.NDArray[np.int8]
    ordered: bool
    days: npt.NDArray[np.float32] | None = None

    def interactions(self, *parts: Part) -> Interactions:
        """The rows of these parts of the split."""
        rows = np.isin(self.parts, parts)
        return Interactions.build(
            self.user_nums[rows],
            self.book_nums[rows],
            self.weights[rows],
            (len(self.users), len(self.books)),
            None if self.days is None else self.days[rows],
        )

    def training_data(self, *parts: Part, cache_folder: Path | None = None) -> TrainingData:
        """
        What a model may learn from: these parts of the split and what sources tell of the books.

        `mean_rating` is left out: it knows the ratings of all parts.
        """
        return TrainingData(
            self.interactions(*parts),
            self.catalogue.select(BOOKS.names).to_pandas(),
            ordered=self.ordered,
            cache_folder=cache_folder,
        )

    @property
    def likes(self) -> npt.NDArray[np.int64]:
        """How many readers liked each book, shape (n_books,)."""
        liked = self.book_nums[self.weights > 0]
        return np.bincount(liked, minlength=len(self.books)).astype(np.int64)

    def save(self, folder: Path) -> None:
        """Write into an existing folder, as Parquet."""
        rows: dict[str, npt.NDArray[np.generic]] = {
            "user_num": self.user_nums,
            "book_num": self.book_nums,
            "weight": self.weights,
            "part": self.parts,
        }
        if self.days is not None:
            rows["day"] = self.days
        table = pa.table(rows).replace_schema_metadata({ORDERED: str(int(self.ordered))})
        pq.write_table(table, folder / "interactions.parquet")
        pq.write_table(pa.table({"user_id": pa.array(list(self.users))}), folder / "users.parquet")
        pq.write_table(self.catalogue, folder / "catalogue.parquet")
        pq.write_table(self._editions, folder / "editions.parquet")

    @property
    def _editions(self) -> pa.Table:
        """What `aliases_of` reads."""
        works = pa.array([*self.books.aliases.values()], self.catalogue["book_id"].type)
        editions = pa.array([*self.books.aliases], pa.string())
        return pa.table({"edition_id": editions, "work_id": works})

    @classmethod
    def load(cls, folder: Path) -> "Dataset":
        """Open what `save` wrote."""
        rows = pq.read_table(folder / "interactions.parquet")
        catalogue = pq.read_table(folder / "catalogue.parquet")
        users = pq.read_table(folder / "users.parquet")["user_id"]
        aliases = aliases_of(pq.read_table(folder / "editions.parquet"))
        return cls(
            users=Vocabulary.of(users.to_pandas()),
            books=Vocabulary.of(catalogue["book_id"].to_pandas()).with_aliases(aliases),
            catalogue=catalogue,
            user_nums=rows["user_num"].to_numpy(),
            book_nums=rows["book_num"].to_numpy(),
            weights=rows["weight"].to_numpy(),
            parts=rows["part"].to_numpy(),
            ordered=rows.schema.metadata[ORDERED] == b"1",
            days=rows["day"].to_numpy() if "day" in rows.column_names else None,
        )


def aliases_of(editions: pa.Table) -> dict[str, Id]:
    """From columns edition_id (text) and work_id: under which other ids a book is known."""
    pairs = zip(editions["edition_id"].to_pylist(), editions["work_id"].to_pylist(), strict=True)
    return {edition: work for edition, work in pairs if edition != str(work)}


def in_reading_order(ratings: pa.Table, order: str) -> pa.Table:
    """Rows sorted so that within a reader they stand in the order of reading, where it is known."""
    if order != "timestamp":
        return ratings
    keys = [("rated_at", "ascending", "at_start"), ("row", "ascending", "at_start")]
    return ratings.take(pc.sort_indices(ratings, keys))


def in_vocabulary_order(books: pa.Table, vocabulary: Vocabulary) -> pa.Table:
    """The catalogue with row i describing the book of book_num i."""
    nums = vocabulary.nums(books["book_id"].to_pandas().to_numpy())
    return books.take(pa.array(np.argsort(nums)))


def feature_frame(dataset: Dataset) -> pd.DataFrame:
    """What the features suite looks at: one row a book, as models will see it."""
    table = dataset.catalogue
    text = pc.binary_join_element_wise(
        pc.fill_null(table["title"], ""), pc.fill_null(table["description"], ""), " "
    )
    return pd.DataFrame(
        {
            "book_num": np.arange(len(dataset.books)),
            "book_id": [str(i) for i in dataset.books],
            "title": table["title"].to_pandas(),
            "n_words": pc.list_value_length(pc.utf8_split_whitespace(text)).to_numpy(),
            "likes": dataset.likes,
        }
    )
