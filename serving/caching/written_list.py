"""
A reader's list as it lies in Redis and goes out to readers: JSON that is cut, and never parsed.

A line a book, best first, and its reasons behind a tab. JSON writes neither sign within a text, so
they part what they stand between. A checksum before the lines tells a list from anything else.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from zlib import crc32

from pydantic_core import to_json

from pipelines.data.interactions import Id
from pipelines.models.answers import Recommendation

HEADS_KEPT = 50_000
"""Books whose names are written once, at most."""

_FORM = b"list-1 "
_SUM = 8
"""Hexadecimal digits of the checksum."""


@dataclass(frozen=True)
class WrittenList:
    """The books of a list, one after another, each with its reasons."""

    lines: Sequence[bytes]

    @classmethod
    def of(cls, items: Sequence[Recommendation]) -> "WrittenList":
        """Scores are written to the last bit, ids in their own type."""
        return cls([_line(item) for item in items])

    @classmethod
    def read(cls, value: bytes, most: int) -> "WrittenList | None":
        """At most so many books, the first of the list that `value` is; None for anything else."""
        head, _, lines = value.partition(b"\n")
        if head != _head_of(lines):
            return None
        return cls(lines.split(b"\n", most)[:most] if lines else [])

    @property
    def value(self) -> bytes:
        """What `read` reads."""
        lines = b"\n".join(self.lines)
        return _head_of(lines) + b"\n" + lines

    def page(self, n: int, skip: int = 0) -> "WrittenList":
        """At most `n` books, behind the first `skip`."""
        return WrittenList(self.lines[skip : skip + n])

    def json(self, *, explain: bool) -> bytes:
        """The array `items` of an answer, ranked from 1, with reasons if they are asked for."""
        return b"[%b]" % b",".join(
            b'{"rank":%d,%b,"reasons":%b}' % (rank, book, why if explain else b"[]")
            for rank, (book, _, why) in enumerate((x.partition(b"\t") for x in self.lines), start=1)
        )

    def __len__(self) -> int:
        return len(self.lines)


def _head_of(lines: bytes) -> bytes:
    return b"%b%0*x" % (_FORM, _SUM, crc32(lines))


def _line(item: Recommendation) -> bytes:
    book = _named(item.book_id, item.title, item.authors)
    why = to_json(item.reasons) if item.reasons else b"[]"
    return b'%b,"score":%b\t%b' % (book, to_json(item.score), why)


@lru_cache(HEADS_KEPT)
def _named(book_id: Id, title: str, authors: tuple[str, ...]) -> bytes:
    return to_json({"book_id": book_id, "title": title, "authors": authors})[1:-1]
