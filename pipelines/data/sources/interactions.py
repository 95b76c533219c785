"""Anyone's interactions: a table of who met which book, and perhaps a table of books."""

from pathlib import Path

import pyarrow as pa

from pipelines.data.sources import columns
from pipelines.data.sources.base import Order, SourceTables
from pipelines.data.sources.csv_reading import read_csv
from pipelines.data.sources.parquet_reading import read_parquet
from pipelines.data.sources.raw_file import ChooseColumns, RawFile
from pipelines.data.sources.tables import books_table, ratings_table
from pipelines.errors import SourceError

SUFFIXES = (".csv", ".csv.gz", ".tsv", ".tsv.gz", ".parquet")


class InteractionsSource:
    """
    A file of ratings, or a folder with `ratings.*` and perhaps `books.*`, as CSV or Parquet.

    Columns are found by their usual names. Without a rating column every row is an implicit
    positive; without a timestamp column nothing is known of the order of reading.
    """

    name = "interactions"

    def read(self, path: Path | None) -> SourceTables:
        """
        Read the file or folder at `path`.

        Raises:
            SourceError: naming the file, what is wrong with it and what to do.
        """
        if path is None:
            raise SourceError("interactions needs a path: give a file of ratings or its folder")
        ratings_path, books_path = _files(path)
        raw = _read_file(ratings_path, columns.chooser(columns.RATINGS, ("user_id", "book_id")))
        ratings, rejected = ratings_table(raw)
        books = None
        if books_path is not None:
            raw_books = _read_file(books_path, columns.chooser(columns.BOOKS, ("book_id",)))
            books, rejected_books = books_table(raw_books)
            rejected = pa.concat_tables([rejected, rejected_books])
        return SourceTables(
            ratings=ratings,
            books=books,
            rejected=rejected,
            order=_order(ratings),
            rating_scale=None,
            label=f"interactions from {path.name}",
            files=(ratings_path,) if books_path is None else (ratings_path, books_path),
        )


def _order(ratings: pa.Table) -> Order:
    return "timestamp" if ratings["rated_at"].null_count < len(ratings) else "none"


def _read_file(path: Path, choose: ChooseColumns) -> RawFile:
    return read_parquet(path, choose) if path.suffix == ".parquet" else read_csv(path, choose)


def _files(path: Path) -> tuple[Path, Path | None]:
    try:
        if not path.is_dir():
            return path, None
        ratings, books = _only(path, "ratings"), _only(path, "books")
    except OSError as error:
        raise SourceError(f"{path} cannot be read ({error.strerror}): check permissions") from error
    if ratings is None:
        wanted = ", ".join(f"ratings{suffix}" for suffix in SUFFIXES)
        raise SourceError(f"{path} holds no ratings: put one of {wanted} there, or name the file")
    return ratings, books


def _only(folder: Path, stem: str) -> Path | None:
    found = [p for suffix in SUFFIXES if (p := folder / f"{stem}{suffix}").exists()]
    if len(found) > 1:
        names = " and ".join(p.name for p in found)
        raise SourceError(f"{folder} holds {names}: keep one of them")
    return found[0] if found else None
