"""Laws of cleaning: nothing is lost, and cleaning what is clean changes nothing."""

from datetime import UTC, datetime

import pyarrow as pa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines.data.cleaning import clean_books, clean_ratings
from pipelines.data.ids import restore_ids
from pipelines.data.isbn import is_isbn10, isbn10_to_13, normalise_isbn
from pipelines.data.languages import language_code
from pipelines.data.schemas import BOOKS, RAW_RATINGS
from pipelines.data.text import clean_text

# Time says nothing on a busy machine.
LAW = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])

IDS = st.text("ab1&;lt ", min_size=1, max_size=4).filter(str.strip)
TEXT = st.none() | st.text(max_size=12) | st.text("&;ampltgx#0123 \t\x01\xa0", max_size=16)
MOMENTS = st.none() | st.datetimes(timezones=st.just(UTC)).filter(lambda moment: moment.year > 1)
RATINGS = st.lists(
    st.tuples(IDS, IDS, st.none() | st.floats(-2, 7, allow_nan=False), MOMENTS), max_size=15
)
BOOK = st.fixed_dictionaries(
    {
        "book_id": IDS,
        "title": TEXT,
        "authors": st.none() | st.lists(TEXT, max_size=3),
        "year": st.none() | st.integers(-5000, 5000),
        "language": TEXT | st.sampled_from(["eng", "en-US", "English", "mul", "-"]),
        "genres": st.none() | st.lists(TEXT, max_size=3),
        "series": TEXT,
        "isbn13": TEXT | st.text("0123456789X", min_size=7, max_size=13),
        "description": TEXT,
    }
)
BOOK_LISTS = st.lists(BOOK, max_size=5)


def ratings_of(rows):
    columns = [list(column) for column in zip(*rows, strict=True)] if rows else [[]] * 4
    return pa.table([*columns, range(1, len(rows) + 1)], schema=RAW_RATINGS)


def books_of(books):
    return pa.Table.from_pylist([{"row": i + 1, **b} for i, b in enumerate(books)], BOOKS)


@LAW
@given(BOOK_LISTS)
def test_cleaning_clean_books_changes_nothing(books):
    """clean(clean(x)) == clean(x), with no repairs and nothing set aside."""
    once = clean_books(books_of(books))
    twice = clean_books(once.table)
    assert twice.table.equals(once.table)
    assert len(twice.quarantine) == 0
    assert twice.repairs == {}


@LAW
@given(BOOK_LISTS)
def test_every_book_is_kept_or_set_aside(books):
    """Rows in are rows kept and rows set aside; ids kept are distinct and titles are there."""
    cleaned = clean_books(books_of(books))
    rows = cleaned.table["row"].to_pylist() + cleaned.quarantine["row"].to_pylist()
    assert sorted(rows) == list(range(1, len(books) + 1))
    assert len(set(cleaned.table["book_id"].to_pylist())) == len(cleaned.table)
    assert all(cleaned.table["title"].to_pylist())


@LAW
@given(RATINGS, st.none() | BOOK_LISTS, st.sampled_from([None, (1.0, 5.0)]))
def test_cleaning_clean_ratings_changes_nothing(rows, books, scale):
    """clean(clean(x)) == clean(x), with nothing set aside."""
    catalogue = None if books is None else books_of(books)
    once = clean_ratings(ratings_of(rows), books=catalogue, scale=scale)
    twice = clean_ratings(once.table, books=catalogue, scale=scale)
    assert twice.table.equals(once.table)
    assert len(twice.quarantine) == 0


@LAW
@given(RATINGS)
def test_last_rating_of_each_pair_stays(rows):
    """What stays of a pair is what a plain loop over the rows in order of time leaves."""
    cleaned = clean_ratings(ratings_of(rows), books=None, scale=None)
    earliest = datetime(1, 1, 1, tzinfo=UTC)
    in_time = sorted(enumerate(rows, 1), key=lambda row: (row[1][3] or earliest, row[0]))
    last = {(user, book): row for row, (user, book, _, _) in in_time}
    assert cleaned.table["row"].to_pylist() == sorted(last.values())
    assert len(cleaned.table) + len(cleaned.quarantine) == len(rows)


@LAW
@given(st.lists(st.integers() | IDS, max_size=8))
def test_restored_ids_write_as_they_were_found(found):
    """Ids restored and written again are the ids found."""
    texts = [str(value) for value in found]
    assert [str(value) for value in restore_ids(pa.array(texts, pa.string())).to_pylist()] == texts


@LAW
@given(TEXT)
def test_clean_text_is_clean(text):
    """clean(clean(x)) == clean(x) for every text and language."""
    once = clean_text(text)
    assert clean_text(once) == once
    code = language_code(text or "")
    assert code is None or language_code(code) == code


@LAW
@given(st.text("0123456789", min_size=9, max_size=9))
def test_isbn_without_its_zeros_is_the_same_book(stem):
    """An ISBN-10 that lost up to three zeros is restored; its ISBN-13 stays what it is."""
    isbn10 = next((f"{stem}{c}" for c in "0123456789X" if is_isbn10(f"{stem}{c}")), None)
    if isbn10 is not None:
        isbn13 = isbn10_to_13(isbn10)
        assert normalise_isbn(isbn13) == isbn13
        shortened = isbn10.lstrip("0")
        assert normalise_isbn(shortened) == (isbn13 if len(shortened) >= 7 else None)
