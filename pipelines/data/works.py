"""
Editions grouped into works, so that one work is one item and its ratings add up.

Two editions are of one work if they bear the same ISBN, or title and author say so. Where that is
in doubt they stay apart: a work in two pieces costs a little, two works in one mislead everybody.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from rapidfuzz import fuzz, process
from scipy import sparse

from pipelines.data.authors import SUFFIXES
from pipelines.data.titles import Title, alike, folded

_NOBODY = frozenset(["anonymous", "unknown", "various", "na"])
Name = tuple[str, ...]
"""Words of an author's name, the surname last."""
Pair = tuple[int, int]
Numbers = npt.NDArray[np.integer]

_WORD = re.compile(r"[^\W_]+")
_BLOCK_LETTERS = 3
_CANDIDATE_SCORE = 85
_SAME_ISBN_SCORE = 70


@dataclass(frozen=True)
class Edition:
    """What is compared of a row of the catalogue."""

    num: int
    raw_title: str
    title: Title
    author: Name
    """Who is named first; empty where that is nobody. The others may have drawn or translated."""
    isbn13: str | None

    @classmethod
    def read(cls, num: int, row: Mapping[str, Any]) -> Self:
        title, author = row["title"] or "", _name(next(iter(row["authors"] or ()), ""))
        return cls(num, title, Title.read(title, row["series"]), author, row["isbn13"])

    @property
    def surname(self) -> str:
        return self.author[-1] if self.author else ""


def same_works(books: pa.Table) -> Numbers:
    """
    For each row of `books` the number of its work, shape (n_books,).

    Args:
        books: Clean, schema BOOKS; the order of rows changes nothing but the numbers.
    """
    rows = books.select(["title", "series", "authors", "isbn13"]).to_pylist()
    editions = [Edition.read(num, row) for num, row in enumerate(rows)]
    pairs = [pair for block in _by_isbn(editions) for pair in _with_one_isbn(block)]
    known = _KnownNames.of(editions)
    for block in _by_name(editions):
        pairs += _of_one_work(block, known)
    return _components(len(editions), pairs)


@dataclass(frozen=True)
class _KnownNames:
    """What the catalogue lists under an author's surname: titles, and names of series."""

    titles: frozenset[tuple[str, tuple[str, ...]]]
    series: frozenset[tuple[str, str]]

    @classmethod
    def of(cls, editions: Iterable[Edition]) -> Self:
        named = [(edition.surname, edition.title) for edition in editions]
        series = {(s, name) for s, title in named for name in (title.brackets, title.series)}
        return cls(frozenset((s, t.main) for s, t in named), frozenset(series))


def _of_one_work(block: Sequence[Edition], known: _KnownNames) -> list[Pair]:
    """Pairs of one work, of editions that have a surname and the first letters in common."""
    titles = [edition.title for edition in block]
    close = [(a, b) for a, b in _candidates(titles) if _compatible(block[a], block[b])]
    equal = [(a, b) for a, b in close if _is_equal(titles[a], titles[b])]
    rest = {*close} - {*equal}
    bridges = [(a, b) for a, b in rest if _is_bridge(block[a], block[b], known)]
    linked = _components(len(block), equal + bridges).tolist()
    groups = defaultdict(list)
    for group, title in zip(linked, titles, strict=True):
        groups[group].append(title)
    kept = equal + [(a, b) for a, b in bridges if _is_clear(groups[linked[a]])]
    return [(block[a].num, block[b].num) for a, b in kept]


def _candidates(titles: Sequence[Title]) -> Iterable[Pair]:
    mains = [" ".join(title.main) for title in titles]
    scores = process.cdist(mains, mains, scorer=fuzz.ratio, dtype=np.uint8)
    rows, columns = np.nonzero(np.triu(scores >= _CANDIDATE_SCORE, 1))
    return zip(rows.tolist(), columns.tolist(), strict=True)


def _compatible(one: Edition, other: Edition) -> bool:
    """Whether nothing speaks against one work: neither number nor kind, series or author."""
    a, b = one.title, other.title
    return (
        a.numbers == b.numbers
        and a.kinds == b.kinds
        and _agree(a.volume, b.volume)
        and _agree(a.series, b.series)
        and not (a.is_series or b.is_series)
        and _is_one_name(one.author, other.author)
    )


def _is_equal(one: Title, other: Title) -> bool:
    return one.volume == other.volume and alike(one.words, other.words)


def _is_bridge(one: Edition, other: Edition, known: _KnownNames) -> bool:
    """Whether they are one work if what one of them leaves out is what the other one says."""
    a, b = one.title, other.title
    if bool(a.subtitle) == bool(b.subtitle):
        return alike(a.words, b.words)
    is_title = (one.surname, a.subtitle or b.subtitle) in known.titles
    names = {(one.surname, title.name) for title in (a, b)}
    is_series = any(name in known.series for name in names if name[1])
    return alike(a.main, b.main) and not is_title and not is_series


def _is_clear(titles: Sequence[Title]) -> bool:
    """Whether no two of them name different subtitles or volumes."""
    volumes = {t.volume for t in titles if t.volume}
    subtitles = {t.subtitle for t in titles if t.subtitle}
    return len(volumes) <= 1 and all(alike(a, b) for a, b in combinations(subtitles, 2))


def _agree(one: Sized, other: Sized) -> bool:
    return not one or not other or one == other


def _is_one_name(one: Name, other: Name) -> bool:
    """Surnames are equal, and given names as far as both have them; an initial fits its name."""
    given = zip(one[:-1], other[:-1], strict=False)
    return one[-1] == other[-1] and all(
        a == b or (min(len(a), len(b)) == 1 and a[0] == b[0]) for a, b in given
    )


def _name(author: str) -> Name:
    before, _, behind = folded(author).partition(",")
    words = [w for w in _WORD.findall(f"{behind} {before}") if w not in SUFFIXES]
    return () if _NOBODY & {*words} else tuple(words)


def _by_name(editions: Iterable[Edition]) -> Iterator[list[Edition]]:
    """Editions that may be of one work: same surname, same first letters of the title."""
    blocks = defaultdict(list)
    for edition in editions:
        letters = "".join(edition.title.main)[:_BLOCK_LETTERS]
        blocks[edition.surname, letters].append(edition)
    return (block for (surname, _), block in blocks.items() if surname and len(block) > 1)


def _by_isbn(editions: Iterable[Edition]) -> Iterator[list[Edition]]:
    blocks = defaultdict(list)
    for edition in editions:
        blocks[edition.isbn13].append(edition)
    return (block for isbn, block in blocks.items() if isbn and len(block) > 1)


def _with_one_isbn(block: Sequence[Edition]) -> list[Pair]:
    """Those whose titles agree too: some catalogues fill in one ISBN for many books."""
    return [
        (one.num, other.num)
        for one, other in combinations(block, 2)
        if one.title.numbers == other.title.numbers
        and fuzz.token_set_ratio(one.raw_title, other.raw_title) >= _SAME_ISBN_SCORE
    ]


def _components(n: int, pairs: Sequence[Pair]) -> Numbers:
    rows, columns = np.array(pairs, np.int64).reshape(-1, 2).T
    graph = sparse.coo_array((np.ones(len(pairs), bool), (rows, columns)), shape=(n, n))
    return sparse.csgraph.connected_components(graph, directed=False)[1]
