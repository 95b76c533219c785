import json

import pytest

from pipelines.data.library import Rules, clean_library
from tests.unit.data.test_cleaning import books_of, ratings_of, readers_of

ANN = ["Ann Lee"]
BOOKS = [
    {"book_id": "a", "title": "Grey &amp; White", "authors": ANN},
    {"book_id": "b", "title": "Other", "authors": ANN},
    {"book_id": "c", "title": "Grey &amp; White (Paperback)", "authors": ANN},
]
RATED = [("u", "a", 1.0, None), ("u", "c", 2.0, None), ("v", "c", 3.0, None), ("w", "a", 4.0, None)]


@pytest.fixture(scope="module")
def library():
    found = ratings_of(*RATED, ("v", "a", 5.0, None), ("x", "c", 5.0, None))
    return clean_library(found, books_of(*BOOKS), readers_of({"user_id": "u"}), Rules(scale=None))


def test_the_last_rating_of_any_edition_stays(library):
    kept = library.ratings.select(["user_id", "book_id", "rating"]).to_pydict()
    assert kept == {
        "user_id": ["u", "w", "v", "x"],
        "book_id": ["a"] * 4,
        "rating": [2, 4, 5, 5],
    }


def test_of_ratings_only_cells_that_are_kept_are_counted(library):
    assert library.cleaned["ratings"].repairs == {"moved_to_work": 2}


def test_what_gave_way_is_shown_as_it_was_found(library):
    rows = library.quarantine.to_pylist()
    found = [json.loads(q["original"]) for q in rows]
    assert {q["rule"] for q in rows} == {"editions_merged"}
    assert [(q["dataset"], q["row"]) for q in rows] == [
        ("ratings", 1),
        ("ratings", 3),
        ("books", 3),
    ]
    assert [row["book_id"] for row in found] == ["a", "c", "c"]
    assert found[-1]["title"] == "Grey &amp; White (Paperback)"


def test_the_catalogue_has_one_row_a_work(library):
    assert library.catalogue["title"].to_pylist() == ["Grey & White", "Other"]
    assert library.editions.to_pydict() == {
        "edition_id": ["a", "b", "c"],
        "work_id": ["a", "b", "a"],
    }
    assert library.added == 0
    assert set(library.cleaned) == {"ratings", "books", "readers"}


def test_books_that_the_catalogue_lacks_are_set_aside_or_added():
    def cleaned(**rules):
        return clean_library(
            ratings_of(("u", "a", 1.0, None), ("u", "z", 1.0, None)),
            books_of(*BOOKS),
            None,
            Rules(scale=None, **rules),
        )

    assert cleaned().quarantine["rule"].to_pylist() == ["unknown_book", "editions_merged"]
    open_ = cleaned(catalogue_is_complete=False)
    assert open_.catalogue["title"].to_pylist() == ["Grey & White", "Other", "Book z"]
    assert open_.added == 1


def test_without_a_catalogue_every_rated_book_is_one():
    library = clean_library(ratings_of(*RATED), None, readers_of(), Rules(scale=None))
    assert library.catalogue["title"].to_pylist() == ["Book a", "Book c"]
    assert library.added == 2
    assert set(library.cleaned) == {"ratings", "readers"}
