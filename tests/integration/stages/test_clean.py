"""The stage that cleans, in runs over libraries that need it."""

import json
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from pipelines.champion import load_by_alias
from pipelines.pipeline_settings import CleaningSettings
from pipelines.progress import report_stage
from pipelines.stages.pipeline import execute, run_pipeline
from pipelines.stages.run_context import RunContext
from pipelines.storage.repositories import LibraryRepository
from tests.pipeline_runs import N_BOOKS, N_READERS, MakeContext, small_books, small_ratings

pytestmark = pytest.mark.integration

FORMULA = "=cmd|' /C calc'!A0"
SCRIPT = "<script>alert(1)</script>"
ISBNS = ["0439023483", "439023483", "9780439023481", "0306406152", "306406152"]
BOUGHT = pd.DataFrame(
    [(f"u{n}", isbn, 1 + (n + k) % 10) for n in range(8) for k, isbn in enumerate(ISBNS)]
    + [("u1", "9,78292E+12", 5), ("u2", "B0000BLD7X", 5)],
    columns=["user_id", "book_id", "rating"],
)


def cleaned(ctx: RunContext) -> tuple[dict[str, object], dict[str, pd.DataFrame]]:
    for stage in ("ingest", "validate", "clean"):
        execute(stage, ctx)
    folder = ctx.folder.reading("clean")
    tables = {path.stem: pq.read_table(path).to_pandas() for path in folder.glob("*.parquet")}
    return ctx.summary("clean"), tables


@pytest.fixture
def with_isbns(library: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Readers whose books have ISBNs for ids, not all of them in the catalogue."""
    BOUGHT.to_csv(library / "ratings.csv", index=False)
    listed = {"book_id": ["9780439023481"], "title": ["Games &amp; Hunger"], "authors": ["ANN LEE"]}
    pd.DataFrame(listed).to_csv(library / "books.csv", index=False)
    found = RunContext.summary

    def summary(ctx: RunContext, address: str) -> dict[str, object]:
        more = {"book_ids": "isbn", "catalogue_is_complete": False} if address == "ingest" else {}
        return found(ctx, address) | more

    monkeypatch.setattr(RunContext, "summary", summary)
    return library


@pytest.mark.usefixtures("with_isbns")
def test_isbns_are_repaired_and_books_that_the_catalogue_lacks_enter_it(make_context: MakeContext):
    told, tables = cleaned(make_context())
    titles = dict(zip(tables["books"]["book_id"], tables["books"]["title"], strict=True))
    assert titles == {
        "9780439023481": "Games & Hunger",
        "0306406152": "Book 0306406152",
        "B0000BLD7X": "Book B0000BLD7X",
    }
    assert tables["ratings"].groupby("book_id").size().to_dict() == {
        "9780439023481": 8,
        "0306406152": 8,
        "B0000BLD7X": 1,
    }
    editions = dict(zip(*tables["editions"].to_dict("list").values(), strict=True))
    assert editions["439023483"] == editions["0439023483"] == "9780439023481"
    assert told["books_added"] == 2
    assert told["doubts"]["ratings"] == {"isbn_unverified": 1}


@pytest.mark.usefixtures("with_isbns")
def test_every_row_is_accounted_for_and_every_repair_counted(make_context: MakeContext):
    ctx = make_context()
    told, tables = cleaned(ctx)
    n = len(BOUGHT)
    assert told["rows"] == {
        "ratings": {"in": n, "kept": 17, "quarantined": n - 17, "erased_reader": 0},
        "books": {"in": 1, "kept": 1, "quarantined": 0, "erased_reader": 0},
    }
    written = json.loads((ctx.folder.reading("clean") / "repairs.json").read_text())
    assert written["repairs"] == told["repairs"]
    assert written["repairs"]["books"] == {"html_entity": 1, "author_capitals": 1}
    rules = tables["quarantine"]["rule"].value_counts().to_dict()
    assert rules == {"duplicate_pair": n - 18, "isbn_hopeless": 1}
    hopeless = tables["quarantine"].query("rule == 'isbn_hopeless'")["original"].item()
    assert json.loads(hopeless)["book_id"] == "9,78292E+12"


def second_editions() -> pd.DataFrame:
    """Of the first two books of the library, called as editions are called."""
    books = small_books().head(2)
    return books.assign(book_id=["1001", "1002"], title=books["title"] + " (Paperback)")


def test_ratings_of_editions_add_up_and_every_edition_leads_to_the_work(
    make_context: MakeContext, library: Path
):
    pd.concat([small_books(), second_editions()]).to_csv(library / "books.csv", index=False)
    ratings = small_ratings()
    split = ratings["user_id"] % 8 == 0
    ratings.loc[split, "book_id"] = ratings.loc[split, "book_id"].replace({1: 1001, 2: 1002})
    ratings.to_csv(library / "ratings.csv", index=False)
    ctx = make_context()
    run_pipeline(ctx, lambda *_: None)
    bundle, _ = load_by_alias(ctx.registry, "champion", ctx.settings.home / "models")
    assert (len(bundle.users), len(bundle.books)) == (N_READERS, N_BOOKS)
    assert bundle.book("1001") == bundle.book("1")
    assert bundle.similar(["1002"], 3) == bundle.similar(["2"], 3)
    per_book = small_ratings().groupby("book_id").size()
    kept = pq.read_table(ctx.folder.reading("clean") / "ratings.parquet").to_pandas()
    assert kept.groupby("book_id").size().equals(per_book)


def test_editions_stay_books_of_their_own_where_that_is_wanted(
    make_context: MakeContext, library: Path
):
    pd.concat([small_books(), second_editions()]).to_csv(library / "books.csv", index=False)
    ctx = make_context()
    told, _ = cleaned(ctx)
    assert told["books"] == N_BOOKS
    apart = {"cleaning": CleaningSettings(group_editions=False)}
    other = RunContext(ctx.run_id, ctx.params, ctx.settings.model_copy(update=apart))
    assert not other.is_current("clean")
    told, _ = cleaned(other)
    assert told["books"] == N_BOOKS + 2


def test_a_clean_library_is_not_changed(make_context: MakeContext):
    told, tables = cleaned(make_context())
    assert told["repairs"] == {"ratings": {}, "books": {}}
    assert told["quarantined"] == []
    editions = tables["editions"]
    assert editions["edition_id"].tolist() == editions["work_id"].astype(str).tolist()


def test_a_formula_and_markup_in_titles_stay_text(make_context: MakeContext, library: Path):
    hostile = small_books().replace({"title": {"Volume 1": FORMULA, "Volume 2": SCRIPT}})
    hostile.to_csv(library / "books.csv", index=False)
    ctx = make_context()
    run_pipeline(ctx, lambda *_: None)
    bundle, _ = load_by_alias(ctx.registry, "champion", ctx.settings.home / "models")
    assert [bundle.book(i)["title"] for i in "12"] == [FORMULA, SCRIPT]
    with ctx.unit_of_work() as session:
        assert LibraryRepository(session, ctx.params.dataset).counts()["books"] == N_BOOKS
    pages = [*(ctx.folder.reading("data_docs/raw")).glob("*.html")]
    pages += (ctx.folder.reading("data_docs/features")).glob("*.html")
    assert len(pages) > 2
    assert not any("<script" in page.read_text() for page in pages)


@pytest.mark.usefixtures("with_isbns")
def test_repairs_are_told_in_one_short_line(make_context: MakeContext):
    told, _ = cleaned(make_context())
    console = Console(record=True, width=300)
    report_stage(console, "clean", told, 1.0)
    n = sum(count for rules in told["repairs"].values() for count in rules.values())
    assert f"repaired {n} cells by" in console.export_text()
