from dataclasses import replace

import pandas as pd
import pytest
from sqlalchemy.exc import IntegrityError

from pipelines.storage.database import migrate
from pipelines.storage.profiles import BatchProfile, ProfileRepository
from pipelines.storage.repositories import (
    LibraryRepository,
    Merged,
    ModelRelease,
    ReleaseRepository,
)
from pipelines.storage.unit_of_work import unit_of_work

pytestmark = pytest.mark.integration


@pytest.fixture
def database(postgres_url: str) -> str:
    migrate(postgres_url)
    return postgres_url


def books(**changes):
    columns = {
        "book_id": [1, 2],
        "title": ["Dune", "Emma"],
        "authors": [["Frank Herbert"], ["Jane Austen"]],
        "year": pd.array([1965, 1815], "Int32"),
        "language": ["en", "en"],
        "genres": [["science-fiction"], ["classics", "romance"]],
        "series": ["Dune", None],
        "isbn13": [None, None],
        "description": [None, "A matchmaker misjudges."],
    }
    return pd.DataFrame(columns | changes)


def ratings(**changes):
    columns = {
        "user_id": ["a", "b"],
        "book_id": [1, 2],
        "rating": [5.0, None],
        "rated_at": [pd.Timestamp("2024-05-01", tz="UTC"), pd.NaT],
    }
    return pd.DataFrame(columns | changes)


def load(session, source="shop"):
    library = LibraryRepository(session, source)
    return (
        library.upsert_books(books()),
        library.upsert_readers(["a", "b"]),
        library.upsert_ratings(ratings()),
    )


def test_the_same_batch_twice_changes_nothing_the_second_time(database):
    with unit_of_work(database) as session:
        first = load(session)
    with unit_of_work(database) as session:
        second = load(session)
    assert first == (Merged(2, 0),) * 3
    assert second == (Merged(0, 0),) * 3


def test_only_a_changed_row_is_written(database):
    with unit_of_work(database) as session:
        load(session)
        changed = LibraryRepository(session, "shop").upsert_ratings(ratings(rating=[5.0, 1.0]))
    assert changed == Merged(0, 1)


def test_sources_never_meet(database):
    with unit_of_work(database) as session:
        load(session, "shop")
        load(session, "library")
        LibraryRepository(session, "shop").upsert_books(books(title=["Dune", "Emma, revised"]))
        counts = LibraryRepository(session, "library").counts()
    assert counts == {"books": 2, "readers": 2, "ratings": 2}


@pytest.mark.parametrize(
    "title",
    ['a "quoted", title', "\\N", "two\nlines", "{braces}", "Ünïcødé 本", "'; drop table books; --"],
)
def test_any_text_survives_the_bulk_load(database, title):
    with unit_of_work(database) as session:
        frame = books(title=[title, "Emma"], authors=[[title, "x"], []])
        LibraryRepository(session, "shop").upsert_books(frame)
    with unit_of_work(database) as session:
        from pipelines.storage.tables import BookRow

        row = session.get(BookRow, ("shop", "1"))
        assert row is not None
        assert (row.title, row.authors) == (title, [title, "x"])


def test_a_failing_batch_leaves_nothing_behind(database):
    def load_and_fail():
        with unit_of_work(database) as session:
            load(session)
            raise KeyError

    with pytest.raises(KeyError):
        load_and_fail()
    with unit_of_work(database) as session:
        assert LibraryRepository(session, "shop").counts()["ratings"] == 0


def test_migrating_twice_is_harmless(database):
    migrate(database)
    with unit_of_work(database) as session:
        assert load(session) == (Merged(2, 0),) * 3


def test_the_tables_are_what_the_migrations_make(database):
    """Alembic finds no difference between the declared tables and the migrated database."""
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    from pipelines.storage.database import connect
    from pipelines.storage.tables import Base

    engine = connect(database)
    with engine.connect() as connection:
        options = {"version_table": "bookrec_migrations"}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, Base.metadata) == []
    engine.dispose()


def test_a_decision_is_found_again_and_never_changed(database):
    release = ModelRelease("hybrid", 3, "run-1", False, {"accepted": False}, {"n": 1.0}, "f0")
    with unit_of_work(database) as session:
        assert ReleaseRepository(session).find("hybrid", 3) is None
        ReleaseRepository(session).record(release)
    with unit_of_work(database) as session:
        found = ReleaseRepository(session).find("hybrid", 3)
        assert ReleaseRepository(session).all("hybrid") == [found]
    assert replace(found, decided_at=None) == release

    def record_again():
        with unit_of_work(database) as session:
            ReleaseRepository(session).record(replace(release, accepted=True))

    with pytest.raises(IntegrityError):
        record_again()


def batch(run_id: str, **changes) -> BatchProfile:
    found = BatchProfile("shop", run_id, True, 90.0, {"parts": {}}, {"ratings": 3})
    return replace(found, **changes)


def recorded(database: str, *batches: BatchProfile, stored: bool = True) -> None:
    """One transaction each, as stages do it: the database's clock tells them apart."""
    for found in batches:
        with unit_of_work(database) as session:
            ProfileRepository(session).record(found)
        if stored and found.accepted:
            with unit_of_work(database) as session:
                ProfileRepository(session).mark_stored(found.dataset, found.run_id)


def previous(database: str, run_id: str) -> str | None:
    with unit_of_work(database) as session:
        found = ProfileRepository(session).previous("shop", run_id)
    return None if found is None else found.run_id


def test_the_previous_batch_is_the_last_one_that_another_run_stored(database):
    assert previous(database, "run-1") is None
    recorded(database, batch("run-1"), batch("run-2"))
    assert previous(database, "run-1") == "run-2"
    assert previous(database, "run-2") == "run-1"
    assert previous(database, "run-3") == "run-2"


def test_a_batch_that_was_refused_reported_or_of_other_data_is_never_the_previous_one(database):
    recorded(database, batch("run-1"), batch("run-2", accepted=False))
    recorded(database, batch("run-3", dataset="library"))
    recorded(database, batch("run-4"), stored=False)
    assert previous(database, "run-9") == "run-1"


def test_a_run_that_is_repeated_takes_the_place_of_its_own_profile(database):
    recorded(database, batch("run-1", score=10.0), batch("run-2"), batch("run-1", score=20.0))
    with unit_of_work(database) as session:
        found = ProfileRepository(session).latest(9)
    assert [(f.run_id, f.score) for f in found] == [("run-1", 20.0), ("run-2", 90.0)]


def test_a_batch_that_is_profiled_again_is_not_stored_any_more(database):
    recorded(database, batch("run-1"))
    recorded(database, batch("run-1", accepted=False))
    assert previous(database, "run-2") is None


def test_the_latest_profiles_are_some_of_each_dataset_newest_first(database):
    recorded(database, batch("run-1"), batch("run-2"), batch("run-3", dataset="library"))
    recorded(database, batch("run-4"))
    with unit_of_work(database) as session:
        found = ProfileRepository(session).latest(2)
    assert [(f.dataset, f.run_id) for f in found] == [
        ("library", "run-3"),
        ("shop", "run-4"),
        ("shop", "run-2"),
    ]
