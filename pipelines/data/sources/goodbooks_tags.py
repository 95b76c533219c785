"""Readers' shelves of goodbooks-10k as genres."""

import re

import pandas as pd
from upath import UPath

from pipelines.data.sources.columns import exactly
from pipelines.data.sources.csv_reading import read_csv
from pipelines.data.sources.raw_file import whole

GENRES_PER_BOOK = 25
_SHELF_WORDS = """
to-read currently-reading reading read default favorites favourites favourite favorite faves
all-time-favorites my-favorites wish-list wishlist to-buy want-to-read want-to-buy maybe tbr
owned owned-books own own-it i-own books-i-own books-owned my-books my-library library
library-books library-book home-library my-bookshelf bookshelf shelf kindle kindle-books on-kindle
nook ebook ebooks e-book e-books audio audiobook audiobooks audio-book audio-books audible
paperback hardcover borrowed re-read reread re-reads to-re-read already-read i-have-read have
abandoned dnf did-not-finish unfinished finished gave-up-on books series book-club bookclub
book-group 5-stars 4-stars 3-stars 5-star made-me-cry recommended
"""
_SHELVES = frozenset(_SHELF_WORDS.split())
# "read-in-2015", "2015-reads": when it was read says nothing about the book.
_READING_YEAR = re.compile(r"\bread(ing|s)?\b.*\d{4}|\d{4}.*\bread(ing|s)?\b|^[^a-z]*$")


def genres_from_tags(tagged: UPath, tags: UPath) -> dict[str, list[str]]:
    """
    The most counted tags of each book, most counted first, by goodreads_book_id.

    Shelf words are dropped: tags that speak of the reader's bookcase rather than of the book.
    """
    names = whole(read_csv(tags, exactly(("tag_id", "tag_name")))).columns.to_pandas()
    counted = read_csv(tagged, exactly(("goodreads_book_id", "tag_id", "count")))
    counts = whole(counted).columns.to_pandas()
    counts["count"] = pd.to_numeric(counts["count"], errors="coerce")
    names = names[~names["tag_name"].map(is_shelf_word)].drop_duplicates("tag_id")
    joined = counts[counts["count"] > 0].merge(names, on="tag_id")
    best = joined.sort_values(["count", "tag_name"], ascending=[False, True])
    best = best.drop_duplicates(["goodreads_book_id", "tag_name"])
    best = best.groupby("goodreads_book_id", sort=False).head(GENRES_PER_BOOK)
    return {str(k): v.tolist() for k, v in best.groupby("goodreads_book_id")["tag_name"]}


def is_shelf_word(tag: str) -> bool:
    """Whether a tag speaks of a reader's shelves rather than of books."""
    return tag in _SHELVES or _READING_YEAR.search(tag) is not None
