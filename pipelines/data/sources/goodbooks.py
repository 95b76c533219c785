"""goodbooks-10k (Zajac 2017, CC BY-SA 4.0): six million ratings of ten thousand books."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

import pyarrow as pa
import pyarrow.feather
from upath import UPath

from pipelines.data.schemas import BOOKS
from pipelines.data.sources.base import Batch, SourceTables
from pipelines.data.sources.columns import exactly, refuse_missing
from pipelines.data.sources.csv_reading import read_csv
from pipelines.data.sources.files import located, opened
from pipelines.data.sources.goodbooks_tags import genres_from_tags
from pipelines.data.sources.raw_file import Place, RawBatch, whole
from pipelines.data.sources.reading import ReadsFiles, read_files
from pipelines.data.sources.tables import books_batch, ratings_batches, texts
from pipelines.errors import SourceError

LABEL = "goodbooks-10k: ratings from 1 to 5 by readers of Goodreads (Zajac 2017, CC BY-SA 4.0)"
_DESCRIBED = ("title", "original_title", "authors", "original_publication_year", "language_code")
# "Thud! (Discworld, #34; City Watch #7)": the first series counts.
_SERIES = re.compile(
    r"^(?P<title>.*\S)\s*\(\s*(?P<series>[^()#]*[^()#\s,]),?\s*(?P<place>#[^()]*)\)\s*$"
)
_MORE = ("book_tags.csv", "tags.csv", "book_genres.csv", "descriptions.feather")
_QUOTES = "\"'“” "


class GoodbooksSource(ReadsFiles):
    """
    The folder of the release: ratings.csv, books.csv and what else of it is there.

    Within a reader the rows stand in the order of reading. Genres come from book_tags.csv with
    tags.csv (most counted first), else from book_genres.csv (as listed); descriptions from
    descriptions.feather.
    """

    name = "goodbooks-10k"

    def read(self, location: str | None) -> SourceTables:
        """
        Read the folder at `location`.

        Raises:
            SourceError: naming the file, what is wrong with it and what to do.
        """
        if location is None:
            raise SourceError("goodbooks-10k needs a path: name the folder of the release")
        folder = located(location)
        ratings, books = _needed(folder, "ratings.csv"), _needed(folder, "books.csv")
        choose = exactly(("user_id", "book_id", "rating"))
        more = [path for name in _MORE if (path := folder / name).exists()]
        return SourceTables(
            ratings=ratings_batches(read_files([ratings], choose, self.forced)),
            books=self._books(folder, books),
            order="row",
            rating_scale=(1.0, 5.0),
            label=LABEL,
            files=(ratings, books, *more),
        )

    def _books(self, folder: UPath, path: UPath) -> Iterator[Batch]:
        raw = whole(read_files([path], _choose_book_columns, self.forced))
        batch = books_batch(_in_our_words(raw))
        genres, descriptions = _genres(folder, raw), _descriptions(folder)
        yield replace(batch, kept=_with(batch.kept, genres, descriptions))


def split_titles(titles: Iterable[str | None]) -> list[tuple[str | None, str | None]]:
    """
    Titles without their series, and the series: "It (It, #1)" is ("It", "It").

    What only its place in the series tells from another part keeps it: "Avatar (#1)".
    """
    found = [(title, _SERIES.match(title or "")) for title in titles]
    parts = [match.groups() if match else (title, None, None) for title, match in found]
    places = defaultdict(set)
    for title, series, place in parts:
        places[title, series].add(place)
    return [
        (f"{title} ({place})" if len(places[title, series]) > 1 else title, series)
        for title, series, place in parts
    ]


def _needed(folder: UPath, name: str) -> UPath:
    path = folder / name
    if not path.exists():
        raise SourceError(
            f"{folder} holds no {name}: run `bookrec data download goodbooks-10k` to get it"
        )
    return path


def _choose_book_columns(path: Place, header: Sequence[str]) -> dict[str, int]:
    """Knows the release and its first edition, where `id` was today's `book_id`."""
    first_edition = "id" in header and "goodreads_book_id" not in header
    book_id, goodreads_id = ("id", "book_id") if first_edition else ("book_id", "goodreads_book_id")
    refuse_missing(path, header, [n for n in (book_id, "title") if n not in header])
    wanted = {name: name for name in (*_DESCRIBED, "isbn")}
    wanted |= {"book_id": book_id, "goodreads_book_id": goodreads_id}
    return {ours: header.index(name) for ours, name in wanted.items() if name in header}


def _in_our_words(raw: RawBatch) -> RawBatch:
    """
    The books file with columns named as in BOOKS.

    isbn13 is left out: a spreadsheet rounded it to twelve digits. isbn lost no more than zeros.
    """
    both = zip(texts(raw, "title"), texts(raw, "original_title"), strict=True)
    pairs = split_titles(title or original for title, original in both)
    authors = [(text or "").split(", ") for text in texts(raw, "authors")]
    columns = {
        "book_id": raw.columns["book_id"],
        "isbn": pa.array(texts(raw, "isbn"), pa.string()),
        "title": pa.array([title for title, _ in pairs], pa.string()),
        "series": pa.array([series for _, series in pairs], pa.string()),
        "authors": pa.array(authors, pa.list_(pa.string())),
        "year": pa.array(texts(raw, "original_publication_year"), pa.string()),
        "language": pa.array(texts(raw, "language_code"), pa.string()),
    }
    return replace(raw, columns=pa.table(columns), found_as={n: n for n in columns})


def _genres(folder: UPath, books: RawBatch) -> Mapping[str, list[str]]:
    """Genres by book_id."""
    tagged, tags = folder / "book_tags.csv", folder / "tags.csv"
    if tagged.exists() and tags.exists() and "goodreads_book_id" in books.columns.column_names:
        by_goodreads_id = genres_from_tags(tagged, tags)
        ids = zip(texts(books, "book_id"), texts(books, "goodreads_book_id"), strict=True)
        return {b: by_goodreads_id[g] for b, g in ids if b and g and g in by_goodreads_id}
    listed = folder / "book_genres.csv"
    if not listed.exists():
        return {}
    raw = whole(read_csv(listed, exactly(("book_id", "genres"))))
    pairs = zip(texts(raw, "book_id"), texts(raw, "genres"), strict=True)
    return {b: g.split(",") for b, g in pairs if b and g}


def _descriptions(folder: UPath) -> Mapping[str, str]:
    """Descriptions by book_id; the column is whichever holds text."""
    path = folder / "descriptions.feather"
    if not path.exists():
        return {}
    try:
        with opened(path) as stream:
            table = pyarrow.feather.read_table(stream)
        table.validate(full=True)
    except (pa.ArrowException, OSError) as error:
        raise SourceError(f"{path} cannot be read as Feather ({error}): fetch it anew") from error
    named = [f.name for f in table.schema if f.name != "book_id" and _is_text(f.type)]
    refuse_missing(path, table.column_names, [] if "book_id" in table.column_names else ["book_id"])
    refuse_missing(path, table.column_names, [] if named else ["description"])
    pairs = zip(table["book_id"].to_pylist(), table[named[0]].to_pylist(), strict=True)
    return {str(book_id): text.strip(_QUOTES) for book_id, text in pairs if text}


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def _with(
    books: pa.Table, genres: Mapping[str, list[str]], descriptions: Mapping[str, str]
) -> pa.Table:
    """The same books with genres and descriptions filled in."""
    ids = books["book_id"].to_pylist()
    filled = {
        "genres": [genres.get(book_id, []) for book_id in ids],
        "description": [descriptions.get(book_id) for book_id in ids],
    }
    for name, column in filled.items():
        at = BOOKS.get_field_index(name)
        books = books.set_column(at, BOOKS.field(at), pa.array(column, BOOKS.field(at).type))
    return books
