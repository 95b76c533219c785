"""Which column of a file is which: names as they are usually written, in any case."""

import re
from collections.abc import Mapping, Sequence

import structlog

from pipelines.data.sources.raw_file import ChooseColumns, Place
from pipelines.errors import SourceError

log = structlog.get_logger()

Aliases = Mapping[str, tuple[str, ...]]
"""For each of our names the spellings that are taken for it, best first, lower case, no signs."""

RATINGS: Aliases = {
    "user_id": ("userid", "user", "readerid", "reader", "memberid", "customerid"),
    "book_id": ("bookid", "book", "itemid", "item", "movieid", "workid", "isbn13", "isbn"),
    "rating": ("rating", "bookrating", "score", "stars"),
    "timestamp": (
        "timestamp",
        "ratedat",
        "time",
        "date",
        "datetime",
        "ts",
        "unixtime",
        "createdat",
    ),
}
BOOKS: Aliases = {
    "book_id": ("bookid", "itemid", "movieid", "workid", "id", "isbn13", "isbn"),
    "title": ("title", "booktitle", "name"),
    "authors": ("authors", "author", "bookauthor"),
    "year": ("year", "publicationyear", "originalpublicationyear", "yearofpublication"),
    "language": ("language", "languagecode", "lang"),
    "genres": ("genres", "genre", "categories", "category", "tags"),
    "series": ("series", "seriesname"),
    "isbn": ("isbn", "isbn10"),
    "isbn13": ("isbn13",),
    "description": ("description", "summary", "blurb"),
}
READERS: Aliases = {
    "user_id": RATINGS["user_id"] + ("id",),
    "location": ("location", "place", "city"),
    "age": ("age",),
}
_SIGNS = re.compile(r"[^a-z0-9]")


def is_reader_column(name: str) -> bool:
    """Whether a column of this name says which reader a row is about."""
    return _SIGNS.sub("", name.lower()) in RATINGS["user_id"]


def chooser(aliases: Aliases, required: Sequence[str]) -> ChooseColumns:
    """A chooser that takes for each of our names the best alias found, and logs what it took."""

    def choose(path: Place, header: Sequence[str]) -> dict[str, int]:
        bare = [_SIGNS.sub("", name.lower()) for name in header]
        chosen = {
            ours: bare.index(found)
            for ours, names in aliases.items()
            for found in [next((name for name in names if name in bare), None)]
            if found is not None
        }
        refuse_missing(path, header, [name for name in required if name not in chosen])
        taken = {ours: header[at] for ours, at in chosen.items()}
        # Not as fields of the line: Airflow's supervisor dies of a `timestamp` that is none.
        log.info("columns_recognised", file=str(path), columns=taken)
        return chosen

    return choose


def exactly(required: Sequence[str], optional: Sequence[str] = ()) -> ChooseColumns:
    """A chooser that wants the names as they are."""

    def choose(path: Place, header: Sequence[str]) -> dict[str, int]:
        refuse_missing(path, header, [name for name in required if name not in header])
        return {name: header.index(name) for name in (*required, *optional) if name in header}

    return choose


def refuse_missing(path: Place, header: Sequence[str], missing: Sequence[str]) -> None:
    """Raise SourceError if anything is missing, naming what is there."""
    if missing:
        found = ", ".join(header[:30]) or "none"
        # What is no text at all may hold line ends of Unicode and orders to a terminal.
        found = "".join(sign if sign.isprintable() else "?" for sign in found)
        raise SourceError(
            f"{path} has no column {' or '.join(missing)}: rename one of those found ({found:.500})"
        )
