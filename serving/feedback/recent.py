"""
What readers did lately, for the model in service that may not have seen it.

A line of JSON an event, appended in Redis: a reader who does two things at once in two workers
loses neither. PostgreSQL has it all; here is what the next answers need.
"""

from collections.abc import Iterable, Sequence

from pydantic import BaseModel, ConfigDict, ValidationError

from pipelines.models.answers import Read
from pipelines.storage.feedback import Event, Kind

NOTHING: tuple[Read, ...] = ()
MOST = 500
"""Events of one reader that count, the newest; a training that has seen them comes before more."""


class _Line(BaseModel):
    model_config = ConfigDict(extra="ignore")

    book_id: str
    rating: float | None = None
    dismissed: bool = False


def lines_of(events: Iterable[Event]) -> bytes:
    """What to append for events; empty where none of them says anything of a taste."""
    return b"".join(
        line_of(Read(event.book_id, event.rating, event.kind is Kind.DISMISSAL)) + b"\n"
        for event in events
        if event.kind is not Kind.CLICK
    )


def line_of(read: Read) -> bytes:
    """How one is written, always the same to the byte."""
    return _Line(**read._asdict()).model_dump_json(exclude_defaults=True).encode()


def reads_of(value: bytes | None) -> Sequence[Read]:
    """What was appended, oldest first; a line that is none is left out."""
    return read_lines(value.splitlines()[-MOST:]) if value else NOTHING


def read_lines(lines: Iterable[bytes]) -> Sequence[Read]:
    """What lines say; one that is none is left out."""
    found = []
    for line in lines:
        try:
            told = _Line.model_validate_json(line)
        except ValidationError:
            continue
        found.append(Read(told.book_id, told.rating, told.dismissed))
    return tuple(found)
