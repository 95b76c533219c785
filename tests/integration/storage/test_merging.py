"""What a merge leaves of two batches of one library: by rows, and by the versions of rows."""

import pandas as pd
import pytest
from sqlalchemy import text

from pipelines.storage.database import migrate
from pipelines.storage.repositories import LibraryRepository, Merged
from pipelines.storage.unit_of_work import unit_of_work

pytestmark = pytest.mark.integration

EARLY, LATE = pd.Timestamp("2024-05-01", tz="UTC"), pd.Timestamp("2024-06-01", tz="UTC")


@pytest.fixture
def database(postgres_url: str) -> str:
    migrate(postgres_url)
    return postgres_url


def load(database, *rows, works=("a", "b", "c"), **work_of):
    """Load ratings (user_id, book_id, rating, rated_at), then what editions are of which work."""
    frame = pd.DataFrame(rows, columns=["user_id", "book_id", "rating", "rated_at"])
    frame["rated_at"] = pd.to_datetime(frame["rated_at"], utc=True)
    editions = pd.DataFrame([*work_of.items()], columns=["edition_id", "book_id"])
    with unit_of_work(database) as session:
        library = LibraryRepository(session, "shop")
        library.upsert_books(catalogue([*works, *frame["book_id"]]))
        library.upsert_readers(frame["user_id"].unique().tolist())
        merged = library.upsert_ratings(frame)
        return merged, library.regroup(editions, works)


def catalogue(book_ids):
    ids = [*dict.fromkeys(book_ids)]
    return pd.DataFrame({"book_id": ids, "title": ids}).assign(
        authors=[["A"]] * len(ids), genres=[[]] * len(ids), year=pd.array([1990] * len(ids)),
        language=None, series=None, isbn13=None, description=None,
    )  # fmt: skip


def rows(database, wanted="select user_id, book_id, rating from ratings order by position"):
    with unit_of_work(database) as session:
        return [tuple(row) for row in session.execute(text(wanted))]


def versions(database):
    """Every row of a library with the transaction that wrote it."""
    tables = ("books", "readers", "ratings", "editions")
    every = "select xmin::text, * from {} order by 2, 3, 4"
    return {name: rows(database, every.format(name)) for name in tables}


def test_a_rating_gives_way_to_a_later_one_alone(database):
    load(database, ("u", "a", 3, LATE), ("v", "a", 3, EARLY), ("w", "a", 3, None))
    later = [("u", "a", 1, EARLY), ("v", "a", 4, LATE), ("w", "a", 5, EARLY), ("x", "a", 2, None)]
    merged, _ = load(database, *later)
    assert merged == Merged(1, 2)
    assert sorted(rows(database)) == [
        ("u", "a", 3), ("v", "a", 4), ("w", "a", 5), ("x", "a", 2),
    ]  # fmt: skip


def test_a_rating_without_a_time_gives_way_to_what_is_loaded_later_and_replaces_no_timed_one(
    database,
):
    load(database, ("u", "a", 3, None), ("v", "a", 3, EARLY))
    merged, _ = load(database, ("u", "a", 4, None), ("v", "a", 1, None))
    assert merged == Merged(0, 1)
    assert sorted(rows(database)) == [("u", "a", 4), ("v", "a", 3)]


def test_of_the_same_time_the_one_that_is_loaded_later_counts(database):
    load(database, ("u", "a", 3, EARLY))
    assert load(database, ("u", "a", 5, EARLY))[0] == Merged(0, 1)


def test_the_same_batch_twice_writes_no_row(database):
    batch = [("u", "a", 3, EARLY), ("v", "b", 3, None), ("v", "x", 4, None)]
    load(database, *batch, x="a")
    before = versions(database)
    moved = [(user, "a" if book == "x" else book, *rest) for user, book, *rest in batch]
    assert load(database, *moved, x="a") == (Merged(0, 0), 0)
    assert versions(database) == before


def test_the_order_of_loading_is_kept_and_what_changed_stands_last(database):
    load(database, ("v", "c", 1, None), ("u", "b", 2, None), ("u", "a", 3, None))
    load(database, ("u", "c", 5, None), ("v", "c", 1, None), ("u", "b", 4, None))
    assert rows(database) == [("v", "c", 1), ("u", "a", 3), ("u", "c", 5), ("u", "b", 4)]


def test_ratings_move_when_their_book_becomes_an_edition(database):
    load(database, ("u", "b", 3, None), ("v", "b", 4, None), ("v", "c", 5, None))
    merged, moved = load(database, ("w", "a", 2, None), works=["a", "c"], b="a")
    assert (merged, moved) == (Merged(1, 0), 2)
    assert sorted(rows(database)) == [("u", "a", 3), ("v", "a", 4), ("v", "c", 5), ("w", "a", 2)]
    assert rows(database, "select book_id from books order by 1") == [("a",), ("c",)]


@pytest.mark.parametrize(
    ("of_edition", "of_work", "kept"),
    [(LATE, EARLY, 1), (EARLY, LATE, 2), (EARLY, None, 1), (None, None, 2), (EARLY, EARLY, 2)],
)
def test_of_ratings_that_meet_on_a_work_the_newest_stays(database, of_edition, of_work, kept):
    load(database, ("u", "b", 1, of_edition))
    load(database, ("u", "a", 2, of_work))
    load(database, works=["a", "c"], b="a")
    assert rows(database) == [("u", "a", kept)]


def test_editions_of_an_edition_are_of_its_work_and_a_work_is_an_edition_no_more(database):
    load(database, ("u", "b", 1, None), works=["b"], x="b")
    load(database, works=["a"], b="a")
    editions = "select edition_id, book_id from editions order by 1"
    assert rows(database, editions) == [("b", "a"), ("x", "a")]
    load(database, works=["b"], a="b")
    assert rows(database, editions) == [("a", "b"), ("x", "b")]
    assert rows(database) == [("u", "b", 1)]


def test_libraries_are_regrouped_apart(database):
    load(database, ("u", "b", 1, None))
    with unit_of_work(database) as session:
        other = LibraryRepository(session, "other")
        other.upsert_books(catalogue(["a"]))
        other.regroup(pd.DataFrame({"edition_id": ["b"], "book_id": ["a"]}), ["a"])
    assert rows(database) == [("u", "b", 1)]


def test_what_a_batch_does_not_know_of_a_book_stays_as_it_was_known(database):
    known = catalogue(["a", "b", "c"]).assign(
        title="Dune", language="en", series="S", isbn13="9780000000002", description="Sand.",
        genres=[["space"]] * 3,
    )  # fmt: skip
    nothing = pd.DataFrame({"book_id": ["a", "b", "c"]}).assign(
        title=["Book a", "Untitled book b", "Book of c"], authors=[[], [], ["B"]],
        genres=[[], [], ["desert"]], year=pd.array([None, None, 1965], "Int32"),
        language=[None, None, "fr"], series=None, isbn13=None, description=None,
    )  # fmt: skip
    with unit_of_work(database) as session:
        assert LibraryRepository(session, "shop").upsert_books(known) == Merged(3, 0)
    with unit_of_work(database) as session:
        assert LibraryRepository(session, "shop").upsert_books(nothing) == Merged(0, 1)
    as_before = ("Dune", ["A"], ["space"], 1990, "en", "S", "9780000000002", "Sand.")
    found = rows(
        database,
        "select title, authors, genres, year, language, series, isbn13, description "
        "from books order by book_id",
    )
    assert found[:2] == [as_before, as_before]
    assert found[2] == ("Book of c", ["B"], ["desert"], 1965, "fr", *as_before[5:])
