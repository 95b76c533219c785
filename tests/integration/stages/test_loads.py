"""Batches that are added to a library, and what training from the library makes of them."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from sqlalchemy import text

from pipelines.data.sources import create_source
from pipelines.erasure.act import forget
from pipelines.errors import DataError, SourceError, StageFailedError
from pipelines.stages import LOADED
from pipelines.stages.loading import Training, nothing_new, training_after
from pipelines.stages.pipeline import execute, run_pipeline
from pipelines.stages.run_context import RunContext
from pipelines.storage.erasures import ErasureKey, ErasureRepository
from pipelines.storage.feedback import Event, FeedbackRepository, Kind
from pipelines.storage.loads import LoadRepository
from tests.pipeline_runs import MakeContext, small_books, small_ratings

pytestmark = pytest.mark.integration

LIBRARY = "shop"
TABLES = ("books", "readers", "ratings", "editions", "loads")
Adding = Callable[..., RunContext]


@pytest.fixture
def adding(make_context: MakeContext, tmp_path: Path) -> Adding:
    """The context of a run that adds a frame of ratings to the library, or a folder of files."""

    def made(run_id: str, ratings: pd.DataFrame | None = None, **params: object) -> RunContext:
        if ratings is not None:
            path = tmp_path / f"{run_id}.csv"
            ratings.to_csv(path, index=False)
            params["data_path"] = str(path)
        return make_context(run_id, library=LIBRARY, mode="addition", **params)

    return made


CHANGES = 4
"""In the ratings of each reader who thinks again; there are as many of each number as before."""


def changed_minds(*readers: int) -> pd.DataFrame:
    """All twelve ratings of these readers, given again."""
    rows = small_ratings()[lambda f: f["user_id"].isin(readers)]
    again = np.roll(rows["rating"].to_numpy(), 2)
    return rows.assign(rating=again, timestamp=rows["timestamp"] + (again != rows["rating"]))


def load(ctx: RunContext) -> dict[str, Any]:
    told: dict[str, Any] = run_pipeline(ctx, lambda *_: None, last=LOADED)[LOADED]
    return told


def rows(ctx: RunContext, wanted: str) -> list[tuple[Any, ...]]:
    with ctx.unit_of_work() as session:
        return [tuple(row) for row in session.execute(text(wanted))]


def versions(ctx: RunContext) -> dict[str, list[tuple[Any, ...]]]:
    """Every row with the transaction that wrote it."""
    every = "select xmin::text, {0}::text from {0} order by 2"
    return {name: rows(ctx, every.format(name)) for name in TABLES}


def changed(told: dict[str, Any]) -> tuple[int, int, int]:
    return told["added"], told["changed"], told["total"]


def test_a_batch_adds_and_updates_only_what_changed(adding: Adding):
    all_rows = small_ratings()
    first = adding("run-1")
    assert changed(load(first)) == (960, 0, 960)
    batch = all_rows.tail(100).assign(timestamp=lambda f: f["timestamp"] + 1)
    batch.loc[batch.index[:7], "rating"] = 3
    batch.loc[batch.index[50:], "timestamp"] -= 1
    new = pd.DataFrame(
        {"user_id": [900, 901], "book_id": 1, "rating": 5, "timestamp": 1_700_500_000}
    )
    told = load(adding("run-2", pd.concat([batch, new])))
    assert changed(told) == (2, 50, 962)
    assert (told["readers_added"], told["books_added"], told["books_changed"]) == (2, 0, 0)
    read = "select added, changed, total from loads order by number"
    assert rows(first, read) == [(960, 0, 960), (2, 50, 962)]


def test_a_batch_may_be_of_one_reader_and_of_one_book(adding: Adding):
    load(adding("run-1"))
    one = small_ratings().tail(1).assign(timestamp=lambda f: f["timestamp"] + 1)
    assert changed(load(adding("run-2", one))) == (0, 1, 960)


def test_the_same_batch_twice_changes_no_row_but_that_it_was_loaded(adding: Adding):
    first = adding("run-1")
    load(first)
    assert changed(load(adding("run-2", changed_minds(3, 5, 6)))) == (0, 3 * CHANGES, 960)
    before = versions(first)
    again = adding("run-3", changed_minds(3, 5, 6))
    assert changed(load(again)) == (0, 0, 960)
    after = versions(first)
    assert after.pop("loads")[:2] == before.pop("loads")
    assert after == before


def test_what_was_loaded_before_is_known_by_its_content(adding: Adding, library: Path):
    first = adding("run-1")
    assert nothing_new(first) == ""
    load(first)
    (library / "ratings.csv").rename(library / "ratings_2.csv")
    assert nothing_new(adding("run-2")).startswith("nothing new: what it holds was loaded")
    small_ratings().head(5).to_csv(library / "ratings_2.csv", index=False)
    assert nothing_new(adding("run-2")) == ""
    assert nothing_new(adding("run-2", data_path=str(library / "missing.csv"))) == ""


def test_a_batch_that_its_gate_refuses_is_rolled_back_whole(adding: Adding):
    first = adding("run-1")
    load(first)
    before = versions(first)
    ctx = adding("run-2", small_ratings().tail(200).assign(rating=1, user_id=777))
    ctx = RunContext(ctx.run_id, ctx.params, strict(ctx))
    with pytest.raises(StageFailedError, match="stage store failed"):
        load(ctx)
    assert versions(first) == before


def strict(ctx: RunContext) -> Any:
    quality = ctx.settings.quality.model_copy(update={"minimum_score": 99.99})
    return ctx.settings.model_copy(update={"quality": quality})


def test_a_batch_that_was_read_before_another_one_was_loaded_is_refused(adding: Adding):
    load(adding("run-1"))
    early = adding("run-2", small_ratings().tail(20))
    run_pipeline(early, lambda *_: None, last="profile")
    load(adding("run-3", changed_minds(3)))
    with pytest.raises(DataError, match="another batch was loaded into shop"):
        execute("store", early)
    assert changed(load(early))[2] == 960, "a new attempt reads anew"


def test_an_edition_in_a_later_batch_is_of_the_work_that_is_stored(adding: Adding, tmp_path: Path):
    first = adding("run-1")
    load(first)
    folder = tmp_path / "later"
    folder.mkdir()
    book = small_books().query("book_id == 7")
    book.assign(book_id=700, title="Volume 7 (Paperback)").to_csv(folder / "books.csv", index=False)
    rated = [(user, book, 5, 1_800_000_000) for user in (500, 501, 502) for book in (7, 700)]
    columns = ["user_id", "book_id", "rating", "timestamp"]
    pd.DataFrame(rated, columns=columns).to_csv(folder / "ratings.csv", index=False)
    ctx = adding("run-2", data_path=str(folder))
    assert changed(load(ctx)) == (3, 0, 963)
    assert rows(ctx, "select edition_id, book_id from editions") == [("700", "7")]
    assert load(adding("run-3", small_ratings().head(1).assign(book_id=700)))["total"] in (963, 964)
    assert rows(ctx, "select count(*) from books where book_id = '700'") == [(0,)]


def test_the_library_is_read_as_it_was_loaded(adding: Adding, make_context: MakeContext):
    """Rows, ids and their order within a reader are those of the batches, one behind the other."""
    untimed = small_ratings().drop(columns="timestamp").sample(frac=1, random_state=3)
    first, second = untimed.iloc[:900], untimed.iloc[900:]
    load(adding("run-1", first))
    load(adding("run-2", second))
    ctx = make_context("run-3", source="library", data_path=LIBRARY)
    assert ctx.params.dataset == LIBRARY
    run_pipeline(ctx, lambda *_: None, last="clean")
    read = pq.read_table(ctx.folder.reading("clean") / "ratings.parquet").to_pandas()
    wanted = ["user_id", "book_id", "rating"]
    assert read[wanted].astype(int).to_numpy().tolist() == untimed[wanted].to_numpy().tolist()


@pytest.mark.parametrize(("began", "kept"), [("row", "row"), ("none", "none")])
def test_the_order_of_a_library_is_that_with_which_it_began(
    adding: Adding, make_context: MakeContext, began: str, kept: str, monkeypatch
):
    from dataclasses import replace

    from pipelines.data.sources.interactions import InteractionsSource

    untimed = small_ratings().drop(columns="timestamp")
    read = InteractionsSource.read
    monkeypatch.setattr(
        InteractionsSource, "read", lambda self, at: replace(read(self, at), order=began)
    )
    load(adding("run-1", untimed.head(900)))
    monkeypatch.setattr(InteractionsSource, "read", read)
    load(adding("run-2", untimed.tail(60)))
    ctx = make_context("run-3", source="library", data_path=LIBRARY)
    run_pipeline(ctx, lambda *_: None, last="ingest")
    assert ctx.summary("ingest")["order"] == kept


def test_training_from_the_library_writes_nothing_back(adding: Adding, make_context: MakeContext):
    first = adding("run-1")
    load(first)
    before = versions(first)
    ctx = make_context("run-2", source="library", data_path=LIBRARY)
    told = run_pipeline(ctx, lambda *_: None)
    assert versions(first) == before
    version = ctx.registry.by_alias("champion")
    assert version is not None
    assert (version.tags["library"], version.tags["load"]) == (LIBRARY, str(told["store"]["load"]))


def test_a_library_that_is_not_there_is_named_with_those_that_are(
    adding: Adding, make_context: MakeContext
):
    load(adding("run-1"))
    url = make_context().database_url
    with pytest.raises(SourceError, match=r"nothing was loaded into a library 'shpo' yet.*shop"):
        create_source("library", {"library": "shpo"}).read(url)


def decided(ctx: RunContext, *, share: float, libraries: tuple[str, ...] = (LIBRARY,)) -> Training:
    loading = ctx.settings.loading.model_copy(update={"retrain_share": share})
    return training_after(ctx.settings.model_copy(update={"loading": loading}), libraries)


def test_a_batch_is_worth_a_training_when_enough_changed_since_the_champion_learnt(
    adding: Adding, make_context: MakeContext
):
    ctx = make_context("run-1", library=LIBRARY)
    run_pipeline(ctx, lambda *_: None)
    nothing = decided(ctx, share=0.01)
    assert (nothing.wanted, nothing.params) == (False, {"source": "library", "data_path": LIBRARY})
    load(adding("run-2", changed_minds(3, 5, 6)))
    few = decided(ctx, share=0.013)
    assert not few.wanted
    assert few.reason.startswith("skipped: 12 of 960 ratings of shop changed since the champion")
    assert "less than 1.30% (BOOKREC_LOADING__RETRAIN_SHARE)" in few.reason
    enough = decided(ctx, share=0.0125)
    assert enough.wanted
    assert enough.reason == "12 of 960 ratings of shop changed since the champion learnt"
    load(adding("run-3", changed_minds(8)))
    assert decided(ctx, share=0.016).wanted, "changes of several batches add up"


def test_a_batch_of_another_library_never_starts_a_training(
    adding: Adding, make_context: MakeContext
):
    ctx = make_context("run-1")
    run_pipeline(ctx, lambda *_: None)
    load(adding("run-2"))
    told = decided(ctx, share=0.0)
    assert not told.wanted
    assert told.reason == f"skipped: the batch is of shop, models of {ctx.params.dataset}"


def test_a_schedule_trains_whatever_changed(make_context: MakeContext):
    told = training_after(make_context().settings, [])
    assert (told.wanted, told.params) == (True, {})


def test_a_champion_that_has_learnt_from_an_erased_reader_is_retrained_after_any_batch(
    make_context: MakeContext,
):
    ctx = make_context("run-1", library=LIBRARY)
    run_pipeline(ctx, lambda *_: None)
    removed = forget(ctx.settings, "3").removed
    assert removed.keys() == {LIBRARY}
    assert (removed[LIBRARY]["ratings"], removed[LIBRARY]["models"]) == (12, 1)
    told = decided(ctx, share=1.0)
    assert told.wanted
    assert told.reason.startswith("the champion is marked for retraining: erasure ")


def test_a_run_that_stores_again_counts_once(adding: Adding):
    ctx = adding("run-1")
    load(ctx)
    with ctx.unit_of_work() as session:
        last = LoadRepository(session, LIBRARY).last()
        assert last is not None
        number = last.number
    (ctx.folder.path / LOADED / "manifest.json").unlink()
    told = load(ctx)
    assert rows(ctx, "select run_id, added, total from loads") == [("run-1", 960, 960)]
    assert told["load"] > number


def test_a_batch_without_a_rating_of_a_stored_book_is_refused(adding: Adding):
    load(adding("run-1"))
    with pytest.raises(StageFailedError, match="no rating is left"):
        load(adding("run-2", small_ratings().head(3).assign(book_id=4000)))


def test_an_erased_reader_does_not_come_back_with_a_batch_or_from_the_library(
    adding: Adding, make_context: MakeContext
):
    load(adding("run-1"))
    ctx = adding("run-2", changed_minds(3, 5))
    told = forget(ctx.settings, "3", reason="asked")
    assert told.removed[LIBRARY]["ratings"] == 12
    assert changed(load(ctx)) == (0, CHANGES, 948)
    assert rows(ctx, "select rows->>'erased_reader' from loads order by number")[1] == ("12",)
    stored = make_context("run-3", source="library", data_path=LIBRARY)
    run_pipeline(stored, lambda *_: None, last=LOADED)
    readers = pq.read_table(stored.folder.reading("clean") / "readers.parquet")["user_id"]
    assert len(readers) == 79
    assert 3 not in readers.to_pylist()


def test_a_reader_who_is_erased_while_a_batch_is_on_its_way_stops_it(
    adding: Adding, make_context: MakeContext
):
    load(adding("run-1"))
    stored = make_context("run-2", source="library", data_path=LIBRARY)
    run_pipeline(stored, lambda *_: None, last="profile")
    with stored.unit_of_work() as session:
        key = ErasureKey.of(stored.settings)
        ErasureRepository(session, key).begin(LIBRARY, "3", None)
    with pytest.raises(DataError, match="a reader of this batch was erased"):
        execute("store", stored)


def test_what_is_on_record_of_loads_names_no_reader(adding: Adding):
    names = [f"reader-{num:03}" for num in range(81)]
    ratings = small_ratings().assign(user_id=lambda f: f["user_id"].map(names.__getitem__))
    ctx = adding("run-1", ratings)
    load(ctx)
    ((told,),) = rows(ctx, "select loads::text from loads")
    assert "reader-" not in told


def told(ctx: RunContext, *events: tuple[str, str, Kind, float | None]) -> None:
    """Feedback as the service keeps it, all of it newer than the ratings."""
    now = datetime.now(UTC)
    with ctx.unit_of_work() as session:
        FeedbackRepository(session, LIBRARY).add(
            [Event(uuid4(), user, book, kind, value, now) for user, book, kind, value in events]
        )


def test_what_readers_told_the_service_becomes_part_of_the_library(adding: Adding):
    load(adding("run-1", small_ratings()))
    ctx = adding("run-2", source="feedback")
    assert "0 ratings and reads" in nothing_new(ctx)
    told(ctx, ("4", "6", Kind.RATING, 2.0), ("new", "8", Kind.READ, None))
    told(ctx, ("4", "9", Kind.CLICK, None), ("4", "10", Kind.DISMISSAL, None))
    assert nothing_new(ctx) == ""
    before = rows(ctx, "select count(*) from ratings where user_id = '4' and book_id = '6'")
    assert changed(load(ctx))[:2] == ((1, 1) if before == [(1,)] else (2, 0))
    assert rows(ctx, "select rating from ratings where user_id = '4' and book_id = '6'") == [(2.0,)]
    assert rows(ctx, "select rating from ratings where user_id = 'new'") == [(None,)]
    assert "all loaded before" in nothing_new(adding("run-3", source="feedback"))
    told(ctx, ("4", "6", Kind.RATING, 5.0))
    again = adding("run-4", source="feedback")
    assert nothing_new(again) == ""
    assert changed(load(again))[:2] == (0, 1)


def test_an_erased_reader_takes_their_feedback_along(adding: Adding):
    first = adding("run-1", small_ratings())
    load(first)
    told(first, ("4", "6", Kind.RATING, 2.0), ("5", "6", Kind.READ, None))
    forget(first.settings, "4")
    assert rows(first, "select user_id from feedback") == [("5",)]
