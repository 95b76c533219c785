from datetime import UTC, datetime
from uuid import uuid4

import pytest

from pipelines.models.answers import Read
from pipelines.storage.feedback import Event, Kind
from serving.feedback.recent import MOST, lines_of, reads_of


def event(kind: Kind, book_id: str = "7", rating: float | None = None) -> Event:
    return Event(uuid4(), "ann", book_id, kind, rating, datetime.now(UTC))


def test_what_is_appended_in_pieces_is_read_as_one_history():
    value = lines_of([event(Kind.RATING, "1", 2.5), event(Kind.READ, "2")])
    value += lines_of([event(Kind.DISMISSAL, "ü\n🕮")])
    assert reads_of(value) == (Read("1", 2.5), Read("2"), Read("ü\n🕮", dismissed=True))


def test_clicks_say_nothing_of_a_taste():
    assert lines_of([event(Kind.CLICK)]) == b""


@pytest.mark.parametrize("broken", [b"{", b"null\n", b'{"book_id": 7}\n', b"\xff\n", b"\n"])
def test_a_line_that_was_cut_costs_itself_alone(broken: bytes):
    value = broken.rstrip(b"\n") + b"\n" + lines_of([event(Kind.READ, "2")])
    assert reads_of(value) == (Read("2"),)


@pytest.mark.parametrize("nothing", [None, b""])
def test_nothing_is_no_history(nothing: bytes | None):
    assert reads_of(nothing) == ()


def test_of_very_many_the_newest_count():
    value = lines_of([event(Kind.READ, str(n)) for n in range(MOST + 5)])
    assert [read.book_id for read in reads_of(value)] == [str(n) for n in range(5, MOST + 5)]
