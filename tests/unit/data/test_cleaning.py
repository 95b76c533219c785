import json
from datetime import UTC, datetime

import pyarrow as pa
import pytest

from pipelines.data.cleaning import (
    catalogue_from,
    clean_books,
    clean_ratings,
    clean_readers,
    completed,
)
from pipelines.data.ids import distinct_readers, restore_id_types, restore_ids
from pipelines.data.schemas import BOOKS, QUARANTINE, RAW_RATINGS, READERS

AUTHOR_RULES = ["author_turned_round", "author_capitals"]


def ratings_of(*rows):
    """From (user_id, book_id, rating, second of 2020 or None)."""
    moments = [None if r[3] is None else datetime.fromtimestamp(r[3], UTC) for r in rows]
    columns = [*zip(*[r[:3] for r in rows], strict=True)] if rows else [[], [], []]
    return pa.table([*map(list, columns), moments, range(1, len(rows) + 1)], schema=RAW_RATINGS)


def books_of(*books):
    rows = [{"row": i + 1, "authors": [], "genres": [], **book} for i, book in enumerate(books)]
    return pa.Table.from_pylist(rows, BOOKS)


def quarantined(cleaned):
    return [(q["row"], q["rule"]) for q in cleaned.quarantine.to_pylist()]


def only(cleaned, column):
    return cleaned.table[column].to_pylist()[0]


@pytest.mark.parametrize("rating", [11.0, 0.0])
def test_rating_out_of_scale_is_set_aside_with_the_row_as_json(rating):
    cleaned = clean_ratings(
        ratings_of(("u", "a", rating, None), ("u", "b", 5.0, None)), books=None, scale=(1, 5)
    )
    assert quarantined(cleaned) == [(1, "rating_out_of_scale")]
    original = json.loads(cleaned.quarantine["original"][0].as_py())
    assert original == {
        "user_id": "u",
        "book_id": "a",
        "rating": rating,
        "rated_at": None,
        "row": 1,
    }
    assert cleaned.quarantine.schema == QUARANTINE
    assert cleaned.table["book_id"].to_pylist() == ["b"]


def test_implicit_rating_is_on_every_scale():
    cleaned = clean_ratings(ratings_of(("u", "a", None, None)), books=None, scale=(1, 5))
    assert len(cleaned.table) == 1


def test_rating_of_a_book_outside_the_catalogue_is_set_aside():
    cleaned = clean_ratings(
        ratings_of(("u", "a", 5.0, None), ("u", "x", 5.0, None)),
        books=books_of({"book_id": "a"}),
        scale=None,
    )
    assert quarantined(cleaned) == [(2, "unknown_book")]


def test_last_rating_of_a_pair_wins_by_time_then_row():
    cleaned = clean_ratings(
        ratings_of(
            ("u", "a", 1.0, 20),
            ("u", "a", 2.0, 10),
            ("u", "b", 3.0, None),
            ("u", "b", 4.0, None),
            ("v", "a", 5.0, 5),
            ("u", "c", 1.0, 5),
            ("u", "c", 2.0, None),
            ("u", "d", 1.0, -5),
            ("u", "d", 2.0, None),
        ),
        books=None,
        scale=None,
    )
    assert cleaned.table["rating"].to_pylist() == [1, 4, 5, 1, 1]
    assert quarantined(cleaned) == [(r, "duplicate_pair") for r in (2, 3, 7, 9)]


def test_unusable_later_rating_does_not_displace_a_usable_one():
    cleaned = clean_ratings(
        ratings_of(("u", "a", 4.0, 1), ("u", "a", 99.0, 2)), books=None, scale=(1, 5)
    )
    assert cleaned.table["rating"].to_pylist() == [4]


def test_clean_ratings_keep_their_order():
    rows = [(u, b, 3.0, None) for u in "zay" for b in "qmb"]
    cleaned = clean_ratings(ratings_of(*rows), books=None, scale=(1, 5))
    assert cleaned.table.equals(ratings_of(*rows))


def test_no_ratings_stay_no_ratings():
    cleaned = clean_ratings(ratings_of(), books=books_of(), scale=(1, 5))
    assert len(cleaned.table) == len(cleaned.quarantine) == 0


def test_last_of_two_books_with_one_id_wins():
    cleaned = clean_books(
        books_of({"book_id": "1", "title": "old"}, {"book_id": "1", "title": "new"})
    )
    assert only(cleaned, "title") == "new"
    assert quarantined(cleaned) == [(1, "duplicate_book_id")]


@pytest.mark.parametrize(
    ("column", "found", "repaired", "rules"),
    [
        ("title", " Tom &amp; Jerry", "Tom & Jerry", ["html_entity", "whitespace"]),
        ("title", "Le CarrÃ©", "Le Carré", ["twice_encoded"]),
        ("title", "A\x01B", "AB", ["control_character"]),
        ("title", None, "Untitled book 1", ["title_missing"]),
        ("title", "", "Untitled book 1", ["text_empty", "title_missing"]),
        ("series", " ", None, ["whitespace"]),
        ("authors", ["Ann  A", ""], ["Ann A"], ["whitespace", "list_shortened"]),
        ("authors", ["LE GUIN, URSULA K."], ["Ursula K. Le Guin"], AUTHOR_RULES),
        ("authors", ["J. K. Lee", "J.K. Lee"], ["J.K. Lee"], ["author_initials", "list_shortened"]),
        ("genres", ["B ", "A", "A"], ["B", "A"], ["whitespace", "list_shortened"]),
        ("year", 20010, None, ["year_out_of_range"]),
        ("year", -3001, None, ["year_out_of_range"]),
        ("year", 0, None, ["year_out_of_range"]),
        ("language", "en-US", "en", ["language_normalised"]),
        ("isbn13", "439023483", "9780439023481", ["isbn_repaired"]),
        ("isbn13", "12345", None, ["isbn_invalid"]),
    ],
)
def test_broken_value_is_repaired_and_counted(column, found, repaired, rules):
    cleaned = clean_books(books_of({"book_id": "1", "title": "T"} | {column: found}))
    assert only(cleaned, column) == repaired
    assert cleaned.repairs == dict.fromkeys(rules, 1)


@pytest.mark.parametrize("year", [-3000, -750, 1, 2024])
def test_real_years_stay(year):
    assert only(clean_books(books_of({"book_id": "1", "title": "T", "year": year})), "year") == year


def test_list_that_is_null_becomes_empty_uncounted():
    cleaned = clean_books(books_of({"book_id": "1", "title": "T", "genres": None}))
    assert only(cleaned, "genres") == []
    assert cleaned.repairs == {}


@pytest.mark.parametrize(
    "ids", [["007"], ["1", "x"], ["-0"], ["+1"], ["1.0"], [" 1"], ["9223372036854775808"], ["१"]]
)
def test_ids_with_one_that_is_not_canonical_stay_text(ids):
    assert restore_ids(pa.array(ids)).to_pylist() == ids


def test_canonical_ids_become_integers():
    restored = restore_ids(pa.chunked_array([["0", "-7"], ["9223372036854775807"]]))
    assert restored.to_pylist() == [0, -7, 2**63 - 1]
    assert restore_ids(restored).equals(restored)


def test_one_textual_book_id_keeps_all_book_ids_text():
    ratings = ratings_of(("1", "1", 5.0, None))
    books = books_of({"book_id": "1"}, {"book_id": "x"})
    ratings, books, users = restore_id_types(ratings, books, pa.array(["1", "2"]))
    assert ratings["book_id"].to_pylist() == ["1"]
    assert ratings["user_id"].to_pylist() == [1]
    assert users.to_pylist() == [1, 2]


def test_reader_without_ratings_decides_with_the_others():
    ratings, _, users = restore_id_types(
        ratings_of(("1", "1", 5.0, None)), books_of({"book_id": "1"}), pa.array(["1", "x"])
    )
    assert ratings["user_id"].to_pylist() == ["1"]
    assert users.to_pylist() == ["1", "x"]


@pytest.mark.parametrize("unused", ["2", "x"])
def test_encoded_ids_are_restored_by_those_in_use(unused):
    ids = pa.DictionaryArray.from_arrays([0, 2, 0], ["7", unused, "9"])
    ratings, *_ = restore_id_types(
        pa.table({"user_id": ids, "book_id": ids}), books_of({"book_id": "7"}), pa.array(["7"])
    )
    for name in ("user_id", "book_id"):
        assert ratings[name].type.value_type == pa.int64()
        assert ratings[name].to_pylist() == [7, 9, 7]


def test_readers_are_all_who_were_seen():
    assert distinct_readers(
        ratings_of(("b", "x", 99.0, None), ("a", "x", 5.0, None), ("b", "x", 1.0, None))
    ).to_pylist() == ["b", "a"]


def test_catalogue_from_ratings_names_books_by_id():
    books = catalogue_from(ratings_of(("u", "7", 5.0, None), ("v", "7", 5.0, None)))
    assert books.schema == BOOKS
    assert books["title"].to_pylist() == ["Book 7"]
    assert clean_books(books).table.equals(books)


def test_a_catalogue_is_completed_by_the_books_it_lacks():
    books = completed(
        books_of({"book_id": "1", "title": "One"}),
        ratings_of(("u", "1", 5.0, None), ("u", "7", 5.0, None), ("v", "7", 5.0, None)),
    )
    assert books["title"].to_pylist() == ["One", "Book 7"]
    assert books["row"].to_pylist() == [1, 2]


def readers_of(*readers):
    return pa.Table.from_pylist([{"row": i + 1, **r} for i, r in enumerate(readers)], READERS)


@pytest.mark.parametrize(
    ("column", "found", "repaired", "rule"),
    [
        ("age", 4, None, "age_out_of_range"),
        ("age", 111, None, "age_out_of_range"),
        ("location", " nyc,new york , usa", "nyc, new york, usa", "location_cleaned"),
        ("location", "porto, n/a, portugal", "porto, portugal", "location_cleaned"),
        ("location", 'oslo, \\"n/a\\", norway', "oslo, norway", "location_cleaned"),
        ("location", "m&uuml;nchen, , ", "münchen", "location_cleaned"),
        ("location", "n/a, N/A,", None, "location_cleaned"),
    ],
)
def test_what_is_odd_about_a_reader_is_repaired_and_counted(column, found, repaired, rule):
    cleaned = clean_readers(readers_of({"user_id": "1", column: found}))
    assert only(cleaned, column) == repaired
    assert cleaned.repairs == {rule: 1}


@pytest.mark.parametrize("age", [5, 110, None])
def test_real_ages_stay(age):
    cleaned = clean_readers(readers_of({"user_id": "1", "age": age, "location": "oslo, norway"}))
    assert only(cleaned, "age") == age
    assert cleaned.repairs == {}


def test_last_of_two_rows_about_a_reader_wins():
    cleaned = clean_readers(
        readers_of({"user_id": "1", "age": 20}, {"user_id": "2"}, {"user_id": "1", "age": 21})
    )
    assert cleaned.table["age"].to_pylist() == [None, 21]
    assert quarantined(cleaned) == [(1, "duplicate_user_id")]
