"""Anyone's interactions: a table of who met which book, and perhaps tables of books and readers."""

from collections import Counter
from collections.abc import Iterator, Sequence

from upath import UPath

from pipelines.data.sources import columns
from pipelines.data.sources.base import SourceTables
from pipelines.data.sources.files import listed, located
from pipelines.data.sources.raw_file import RawBatch
from pipelines.data.sources.reading import (
    SUFFIXES,
    ReadsFiles,
    has_suffix,
    read_files,
    without_suffix,
)
from pipelines.data.sources.tables import books_batch, ratings_batches, readers_batch
from pipelines.errors import SourceError


class InteractionsSource(ReadsFiles):
    """
    A file of ratings, or a folder with `ratings.*` and perhaps `books.*` and `readers.*`.

    Each as CSV, JSON lines or Parquet, whole or in parts: `ratings-1.csv` and `ratings-2.csv`, or a
    folder `ratings/` of files. A folder of files of other names is one of parts of ratings.
    Columns are found by their usual names. Without a rating column every row is an implicit
    positive; without a timestamp column nothing is known of the order of reading.
    """

    name = "interactions"

    def read(self, location: str | None) -> SourceTables:
        """
        Read the file or folder at `location`.

        Raises:
            SourceError: naming the file, what is wrong with it and what to do.
        """
        if location is None:
            raise SourceError("interactions needs a path: give a file of ratings or its folder")
        path = located(location)
        ratings, books, readers = _files(path)
        choose = columns.chooser(columns.RATINGS, ("user_id", "book_id"))
        return SourceTables(
            ratings=ratings_batches(read_files(ratings, choose, self.forced)),
            books=map(books_batch, self._read(books, columns.BOOKS, "book_id")) if books else None,
            readers=map(readers_batch, self._read(readers, columns.READERS, "user_id"))
            if readers
            else None,
            label=f"interactions from {path.name}",
            files=(*ratings, *books, *readers),
        )

    def _read(
        self, paths: Sequence[UPath], aliases: columns.Aliases, key: str
    ) -> Iterator[RawBatch]:
        return read_files(paths, columns.chooser(aliases, (key,)), self.forced)


def _files(path: UPath) -> tuple[Sequence[UPath], Sequence[UPath], Sequence[UPath]]:
    """The files of ratings, books and readers."""
    entries = listed(path)
    if entries is None:
        return [path], [], []
    ratings, books, readers = (
        _parts(path, [entry for entry in entries if entry.name.lower().startswith(stem)])
        for stem in ("ratings", "books", "readers")
    )
    if not ratings and not books and not readers:
        ratings = _parts(path, entries)
    if not ratings:
        wanted = ", ".join(f"ratings{suffix}" for suffix in SUFFIXES)
        raise SourceError(f"{path} holds no ratings: put one of {wanted} there, or name the file")
    return ratings, books, readers


def _parts(folder: UPath, entries: Sequence[UPath]) -> list[UPath]:
    """Files that can be read, those in folders among `entries` too, in the order of their names."""
    found = [part for entry in entries for part in _readable(entry)]
    names = Counter(without_suffix(part) for part in found)
    if names and max(names.values()) > 1:
        twice = [part.name for part in found if names[without_suffix(part)] > 1]
        raise SourceError(f"{folder} holds {' and '.join(twice)}: keep one of them")
    return found


def _readable(entry: UPath) -> list[UPath]:
    within = listed(entry)
    if within is None:
        return [entry] if has_suffix(entry) else []
    parts = [part for part in within if has_suffix(part)]
    if not parts and has_suffix(entry):
        raise SourceError(f"{entry} is a folder without files to read: put its parts there")
    return parts
