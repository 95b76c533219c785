import json
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.models.answers import Recommendation
from serving.caching.written_list import WrittenList

TEXTS = st.text(st.characters(codec="utf-8"), max_size=20)
ITEMS = st.lists(
    st.builds(
        Recommendation,
        st.one_of(st.integers(-(2**63), 2**63 - 1), TEXTS),
        TEXTS,
        st.lists(TEXTS, max_size=3).map(tuple),
        st.floats(allow_nan=False, allow_infinity=False),
        st.lists(TEXTS, max_size=2).map(tuple),
    ),
    max_size=5,
)


@given(ITEMS, st.booleans(), st.integers(1, 6), st.integers(0, 3))
def test_what_is_read_again_is_told_as_it_was_made(
    items: list[Recommendation], explain: bool, n: int, skip: int
):
    """Ids keep their types, scores the last bit, whatever signs stand in texts."""
    value = WrittenList.of(items).value
    books = WrittenList.read(value, skip + n)
    assert books.lines == WrittenList.of(items).lines[: skip + n]
    assert json.loads(books.page(n, skip).json(explain=explain)) == [
        {
            "rank": rank,
            "book_id": item.book_id,
            "title": item.title,
            "authors": list(item.authors),
            "score": item.score,
            "reasons": list(item.reasons) if explain else [],
        }
        for rank, item in enumerate(items[skip : skip + n], start=1)
    ]


@given(st.binary(max_size=200))
def test_anything_else_is_not_read(value: bytes):
    assert WrittenList.read(value, 50) is None


@pytest.mark.parametrize("spoil", [lambda v: v[:-1], lambda v: v + b"x", lambda v: v[1:]])
def test_a_spoilt_list_is_not_read(spoil):
    value = WrittenList.of([Recommendation(1, "T", (), 0.5, ())]).value
    assert WrittenList.read(value, 50) is not None
    assert WrittenList.read(spoil(value), 50) is None


def test_the_list_of_nothing_is_a_list():
    assert WrittenList.read(b"list-1 %08x\n" % crc32(b""), 50) == WrittenList([])
