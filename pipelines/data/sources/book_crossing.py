"""Book-Crossing (Ziegler 2005): readers, books and ratings, in any of the forms it is handed on."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc
from upath import UPath

from pipelines.data.schemas import RATING_FIELDS
from pipelines.data.sources import columns
from pipelines.data.sources.base import Batch, SourceTables
from pipelines.data.sources.book_crossing_repairs import MEND_BOOK, MEND_READER, realigned
from pipelines.data.sources.files import listed, located
from pipelines.data.sources.raw_file import ChooseColumns, Place
from pipelines.data.sources.reading import ReadsFiles, has_suffix, read_files, without_suffix
from pipelines.data.sources.tables import books_batch, ratings_batches, readers_batch
from pipelines.errors import SourceError

LABEL = "Book-Crossing: ratings from 1 to 10, and implicit ones, of books by ISBN (Ziegler 2005)"
_PLACES = {
    "ratings": {"user_id": 0, "book_id": 1, "rating": 2},
    "books": {"book_id": 0, "isbn": 0, "title": 1, "authors": 2, "year": 3},
    "users": {"user_id": 0, "location": 1, "age": 2},
}
"""Of the columns in the original files."""
_NAMES = re.compile(r"(?:bx[-_ ]?)?(?:(users|books)|(?:book[-_ ]?)?(ratings))")


class BookCrossingSource(ReadsFiles):
    """
    A file of ratings, or a folder with BX-Book-Ratings and perhaps BX-Books and BX-Users.

    File names may lack `BX-` and `Book-`, and be zipped by gzip. Columns are found by their names,
    or by their places where the header only numbers them. A rating of 0 is an implicit one. Books
    are known by ISBN; the catalogue lacks many of them.
    """

    name = "book-crossing"

    def read(self, location: str | None) -> SourceTables:
        """
        Read the file or folder at `location`.

        Raises:
            SourceError: naming the file, what is wrong with it and what to do.
        """
        if location is None:
            raise SourceError("book-crossing needs a path: give its folder, or the ratings file")
        files = _files(located(location))
        ratings = read_files([files["ratings"]], _chooser("ratings", columns.RATINGS), self.forced)
        return SourceTables(
            ratings=_with_implicit(ratings_batches(ratings)),
            books=self._books(files["books"]) if "books" in files else None,
            readers=self._readers(files["users"]) if "users" in files else None,
            order="none",
            rating_scale=(1.0, 10.0),
            label=LABEL,
            files=tuple(files.values()),
            book_ids="isbn",
            catalogue_is_complete=False,
        )

    def _books(self, path: UPath) -> Iterator[Batch]:
        raws = read_files([path], _chooser("books", columns.BOOKS), self.forced, MEND_BOOK)
        return (books_batch(realigned(raw)) for raw in raws)

    def _readers(self, path: UPath) -> Iterator[Batch]:
        raws = read_files([path], _chooser("users", columns.READERS), self.forced, MEND_READER)
        return map(readers_batch, raws)


def _with_implicit(batches: Iterable[Batch]) -> Iterator[Batch]:
    """The same with null for ratings of 0."""
    field = RATING_FIELDS[0]
    for batch in batches:
        found = batch.kept[field.name]
        rated = pc.if_else(pc.equal(found, 0), pa.scalar(None, field.type), found)
        at = batch.kept.schema.get_field_index(field.name)
        yield replace(batch, kept=batch.kept.set_column(at, field, rated))


def _chooser(dataset: str, aliases: columns.Aliases) -> ChooseColumns:
    places = _PLACES[dataset]
    needed = list(places) if dataset == "ratings" else list(places)[:1]
    by_name = columns.chooser(aliases, needed)

    def choose(path: Place, header: Sequence[str]) -> dict[str, int]:
        is_numbered = list(header) == [str(at) for at in range(len(header))]
        if is_numbered and len(header) > max(places.values()):
            return dict(places)
        return by_name(path, header)

    return choose


def _files(path: UPath) -> dict[str, UPath]:
    """The files by dataset; those of other names are left alone."""
    entries = listed(path)
    if entries is None:
        return {"ratings": path}
    found: dict[str, UPath] = {}
    for entry in filter(has_suffix, entries):
        named = _NAMES.fullmatch(without_suffix(entry).rpartition("/")[2].lower())
        dataset = named and (named[1] or named[2])
        if dataset and dataset in found:
            raise SourceError(f"{path} holds {found[dataset].name} and {entry.name}: keep one")
        if dataset:
            found[dataset] = entry
    if "ratings" not in found:
        raise SourceError(f"{path} holds no BX-Book-Ratings.csv: put it there, or name the file")
    return found
