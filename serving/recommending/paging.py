"""Lists in pages, and the cursor that leads from one to the next."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass

from pipelines.data.interactions import Id
from pipelines.errors import CursorError, CursorExpiredError
from pipelines.models.answers import Answer, Recommendation
from serving.caching.written_list import WrittenList
from serving.model.slot import LoadedModel

DEEPEST = 100_000
"""How far into a list a cursor leads."""


@dataclass(frozen=True)
class Page:
    """A part of a list: at most `n` books, from where `cursor` says, or from its head."""

    n: int
    cursor: str | None = None


@dataclass(frozen=True)
class ServedAnswer:
    """
    A list as it leaves the service.

    `source` is `cache`, `model` or `fallback`; `asked_for` is the reader's or the book's id, in the
    catalogue's type where it is known, else as asked.
    """

    items: tuple[Recommendation, ...]
    source: str
    model_version: int
    next_cursor: str | None = None
    asked_for: Id = ""
    unknown: tuple[str, ...] = ()
    """Books that were named and are not in the catalogue."""


@dataclass(frozen=True)
class ServedList:
    """A reader's list as it leaves the service: its books written already, the rest as above."""

    books: WrittenList
    source: str
    model_version: int
    asked_for: Id
    next_cursor: str | None = None
    explain: bool = False
    """Whether the reasons go out too."""


def cursor_to(label: str, skip: int) -> str:
    """Leads behind the first `skip` books of the lists of a model version."""
    return urlsafe_b64encode(f"{label}:{skip}".encode()).decode().rstrip("=")


def skipped(cursor: str | None, label: str) -> int:
    """
    How many books a cursor leads past; none without one.

    Raises:
        CursorExpiredError: it is of another model version: lists of two would be mixed.
        CursorError: no answer gave it.
    """
    if cursor is None:
        return 0
    try:
        padded = cursor.encode() + b"=" * (-len(cursor) % 4)
        of, _, skip = urlsafe_b64decode(padded).decode().rpartition(":")
    except ValueError:  # of base64, or of UTF-8
        of, skip = "", ""
    if not (of and skip.isascii() and skip.isdigit() and len(skip) < 7 and int(skip) <= DEEPEST):
        raise CursorError("no answer gave this cursor: take `next_cursor` as it is")
    if of != label:
        raise CursorExpiredError(
            "another model is in service than when this list began: begin anew without a cursor"
        )
    return int(skip)


def turned(
    model: LoadedModel,
    page: Page,
    skip: int,
    answer: Answer,
    *,
    asked_for: Id = "",
    unknown: tuple[str, ...] = (),
) -> ServedAnswer:
    """
    The page of a list that begins behind its first `skip` books.

    There is a next cursor where the page is full, so the last page of a list may be empty.
    """
    cursor = cursor_behind(model, page, skip, len(answer.items))
    return ServedAnswer(answer.items, answer.source, model.number, cursor, asked_for, unknown)


def cursor_behind(model: LoadedModel, page: Page, skip: int, found: int) -> str | None:
    """Leads behind a page of so many books, if it is full."""
    return cursor_to(model.label, skip + page.n) if found == page.n else None


def unknown_books(model: LoadedModel, book_ids: Sequence[str]) -> tuple[str, ...]:
    """Those that the catalogue does not have, each once."""
    parse = model.bundle.books.parse
    return tuple(dict.fromkeys(book_id for book_id in book_ids if parse(book_id) is None))
