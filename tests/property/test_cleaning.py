"""Laws of cleaning: nothing is lost, and cleaning what is clean changes nothing."""

import json
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines.data.authors import AUTHOR
from pipelines.data.cleaning import clean_books, clean_ratings, clean_readers
from pipelines.data.ids import restore_ids
from pipelines.data.isbn import is_isbn10, isbn10_to_13, normalise_isbn
from pipelines.data.languages import language_code
from pipelines.data.library import Rules, clean_library
from pipelines.data.schemas import BOOKS, RAW_RATINGS, READERS
from pipelines.data.text import clean_text, repaired, suspect
from pipelines.data.works import same_works

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

FOUND_IDS = "0439023483 439023483 9780439023481 978-0-439-02348-1 0306406152 306406152 B1 9.7E+12 0"
SPELLINGS = st.sampled_from(FOUND_IDS.split())
EDITION = st.fixed_dictionaries(
    {
        "book_id": SPELLINGS,
        "title": st.sampled_from(
            [
                "Saga",
                "The Saga: A Novel",
                "Saga: The Sea",
                "Saga: the tower",
                "The Tower",
                "Saga, Vol. 1",
                "Saga (Book 1)",
                "Saga (Book 2)",
                "SAGA (Saga)",
                "Long Sagas of Yore",
                "Long Sagas of Yores",
                "Long Sages of Yore",
            ]
        ),
        "authors": st.sampled_from([["Ann Lee"], ["A. Lee"], ["LEE, ANN B"], ["Bob Lee"], []]),
        "series": st.sampled_from([None, "Saga", "Saga #1", "Wars"]),
        "isbn13": st.sampled_from([None, "9780439023481"]),
        "year": st.none() | st.integers(-5, 5),
    }
)
EDITIONS = st.lists(EDITION, max_size=12)
RATED = st.lists(st.tuples(st.sampled_from("uvw"), SPELLINGS, st.none(), st.none()), max_size=20)
RULES = st.builds(
    Rules,
    scale=st.none(),
    book_ids=st.sampled_from(["isbn", "opaque"]),
    catalogue_is_complete=st.booleans(),
    group_editions=st.booleans(),
)
MOJIBAKE = st.text("éüñ—“ß€Ã aNY.'&;amp", max_size=8)


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


@LAW
@given(RATED, st.none() | EDITIONS, RULES)
def test_a_clean_library_stays_as_it_is(rows, books, rules):
    """Cleaned again, no row, id or value changes, nothing is set aside and nothing is counted."""
    catalogue = None if books is None else books_of(books)
    once = clean_library(ratings_of(rows), catalogue, None, rules)
    twice = clean_library(once.ratings, once.catalogue, None, rules)
    assert twice.ratings.equals(once.ratings)
    assert twice.catalogue.equals(once.catalogue)
    assert len(twice.quarantine) == 0
    assert not any(cleaned.repairs for cleaned in twice.cleaned.values())


@LAW
@given(RATED, st.none() | EDITIONS, RULES, st.sets(st.integers(0, 19)))
def test_rows_set_aside_before_are_as_if_they_had_never_been(rows, books, rules, before):
    """They decide nothing, and are not set aside again."""
    ratings, catalogue = ratings_of(rows), None if books is None else books_of(books)
    aside = np.isin(np.arange(len(rows)), list(before))
    left = ratings.filter(pa.array(~aside))
    one = clean_library(ratings, catalogue, None, rules, aside=aside)
    other = clean_library(left, catalogue, None, rules)
    assert one.ratings.equals(other.ratings)
    assert one.catalogue.equals(other.catalogue)
    assert one.quarantine.equals(other.quarantine)
    assert one.cleaned["ratings"].repairs == other.cleaned["ratings"].repairs


@LAW
@given(RATED, st.none() | EDITIONS, RULES)
def test_every_row_of_a_library_is_kept_or_set_aside_as_found(rows, books, rules):
    """Rows in are rows kept and rows set aside, which show the ids that were found."""
    ratings, catalogue = ratings_of(rows), None if books is None else books_of(books)
    library = clean_library(ratings, catalogue, None, rules)
    for name, found in (("ratings", ratings), ("books", catalogue)):
        if found is not None:
            cleaned = library.cleaned[name]
            aside = cleaned.quarantine.to_pylist()
            kept = cleaned.table["row"].to_pylist()
            assert sorted(kept + [q["row"] for q in aside]) == found["row"].to_pylist()
            ids = found["book_id"].to_pylist()
            assert all(json.loads(q["original"])["book_id"] == ids[q["row"] - 1] for q in aside)
    known = library.catalogue["book_id"].to_pylist()
    assert set(library.ratings["book_id"].to_pylist()) <= set(known)


@LAW
@given(EDITIONS, st.randoms(use_true_random=False))
def test_works_do_not_depend_on_the_order_of_rows(books, random):
    """Rows in any order give the same groups."""
    order = list(range(len(books)))
    random.shuffle(order)
    found = same_works(books_of(books))
    shuffled = same_works(books_of([books[i] for i in order]))
    for a, i in enumerate(order):
        for b, j in enumerate(order):
            assert (shuffled[a] == shuffled[b]) == (found[i] == found[j])


@LAW
@given(EDITIONS)
def test_numbers_never_meet_in_one_work(books):
    """Books of different volumes, or by different people, are of different works."""
    found = same_works(books_of([book | {"isbn13": None} for book in books])).tolist()
    for work in set(found):
        members = [book for book, group in zip(books, found, strict=True) if group == work]
        assert not {"Saga (Book 1)", "Saga (Book 2)"} <= {book["title"] for book in members}
        assert not {("Ann Lee",), ("Bob Lee",)} <= {tuple(book["authors"]) for book in members}


@LAW
@given(TEXT | MOJIBAKE | MOJIBAKE.map(lambda text: text.encode().decode("latin-1")))
def test_what_the_first_look_lets_pass_is_clean(text):
    """A text is changed by cleaning only if it was suspect."""
    if text is not None and not suspect(pa.array([text], pa.string()))[0]:
        assert repaired(text)[0] == text


@LAW
@given(TEXT | MOJIBAKE | st.text("AaBb.,' -ÉJr", max_size=14))
def test_clean_names_are_clean(name):
    """clean(clean(x)) == clean(x) for names of authors."""
    once = repaired(name or "", AUTHOR)[0]
    assert repaired(once, AUTHOR) == (once, frozenset())


@LAW
@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "user_id": IDS,
                "location": TEXT | st.text("ny,/a .", max_size=9),
                "age": st.none() | st.integers(-5, 250),
            }
        ),
        max_size=6,
    )
)
def test_clean_readers_stay_as_they_are(readers):
    """clean(clean(x)) == clean(x); no row is lost; ages are those of people."""
    found = pa.Table.from_pylist([{"row": i + 1, **r} for i, r in enumerate(readers)], READERS)
    once = clean_readers(found)
    assert len(once.table) + len(once.quarantine) == len(readers)
    assert all(age is None or 5 <= age <= 110 for age in once.table["age"].to_pylist())
    assert clean_readers(once.table).repairs == {}
