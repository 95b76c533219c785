"""Profile and gate of whole batches: what is refused, and that it leaves nothing behind."""

import json
from pathlib import Path

import pandas as pd
import pytest

from pipelines.errors import DataQualityError, StageFailedError
from pipelines.stages import STAGES
from pipelines.stages.pipeline import execute, run_pipeline
from pipelines.stages.run_context import RunContext
from pipelines.storage.profiles import BatchProfile, ProfileRepository
from pipelines.storage.repositories import LibraryRepository
from tests.pipeline_runs import N_BOOKS, N_READERS, MakeContext, small_books, small_ratings

pytestmark = pytest.mark.integration

BEFORE_TRAINING = tuple(STAGES)[: list(STAGES).index("preprocess")]


def prepare(ctx: RunContext) -> None:
    for stage in BEFORE_TRAINING:
        execute(stage, ctx)


def strict(ctx: RunContext, **quality: object) -> RunContext:
    """The same run under other rules."""
    rules = ctx.settings.quality.model_copy(update=quality)
    settings = ctx.settings.model_copy(update={"quality": rules})
    return RunContext(ctx.run_id, ctx.params, settings)


def profiles(ctx: RunContext) -> list[BatchProfile]:
    with ctx.unit_of_work() as session:
        return ProfileRepository(session).latest(10)


def library_tables(ctx: RunContext) -> dict[str, int]:
    with ctx.unit_of_work() as session:
        return LibraryRepository(session, ctx.params.dataset).counts()


def everything_disliked(library: Path) -> None:
    small_ratings().assign(rating=1).to_csv(library / "ratings.csv", index=False)


def test_an_accepted_batch_is_stored_with_its_profile(make_context: MakeContext):
    ctx = make_context()
    prepare(ctx)
    (found,) = profiles(ctx)
    assert (found.dataset, found.run_id, found.accepted) == (ctx.params.dataset, "run-1", True)
    assert found.stored_at is not None
    assert found.score == ctx.summary("profile")["score"] > 80
    assert found.profile["ratings"] == len(small_ratings())
    assert library_tables(ctx) == {
        "books": N_BOOKS,
        "readers": N_READERS,
        "ratings": len(small_ratings()),
    }


def test_a_refused_batch_leaves_nothing_behind_but_its_profile_and_its_report(
    make_context: MakeContext,
):
    ctx = strict(make_context(), minimum_score=99.9)
    with pytest.raises(StageFailedError, match=r"stage store failed: .*below 99\.9") as refused:
        run_pipeline(ctx, lambda *_: None)
    report = ctx.folder.reading("profile") / "report.html"
    assert str(report) in str(refused.value)
    assert "is refused: nothing is stored or learnt from it" in report.read_text()
    assert library_tables(ctx) == {"books": 0, "readers": 0, "ratings": 0}
    assert not ctx.folder.has("store")
    assert ctx.registry.versions() == []
    (found,) = profiles(ctx)
    assert (found.accepted, found.stored_at) == (False, None)


def test_a_refused_batch_stays_refused_when_its_run_is_repeated(make_context: MakeContext):
    ctx = strict(make_context(), minimum_score=99.9)
    for _ in range(2):
        with pytest.raises(StageFailedError, match="stage store failed"):
            run_pipeline(ctx, lambda *_: None)


def test_a_batch_that_has_drifted_is_refused_and_the_stored_one_stays(
    make_context: MakeContext, library: Path
):
    prepare(make_context("run-1"))
    everything_disliked(library)
    ctx = make_context("run-2")
    with pytest.raises(DataQualityError, match=r"rating has drifted, PSI .*CRITICAL_PSI"):
        prepare(ctx)
    assert ctx.summary("profile")["compared_with"] == "run-1"
    assert [(p.run_id, p.accepted) for p in profiles(ctx)] == [("run-2", False), ("run-1", True)]
    with ctx.unit_of_work() as session:
        previous = ProfileRepository(session).previous(ctx.params.dataset, "run-3")
    assert previous is not None
    assert previous.run_id == "run-1"


def test_drift_that_is_meant_passes_with_another_bound(make_context: MakeContext, library: Path):
    prepare(make_context("run-1"))
    everything_disliked(library)
    ctx = strict(make_context("run-2"), critical_psi=100.0)
    prepare(ctx)
    assert any("rating has drifted" in told for told in ctx.summary("profile")["warnings"])


def test_a_batch_of_half_the_readers_is_refused(make_context: MakeContext, library: Path):
    prepare(make_context("run-1"))
    small_ratings().query("user_id <= 35").to_csv(library / "ratings.csv", index=False)
    with pytest.raises(DataQualityError, match="At least 50% of the 960 ratings"):
        prepare(make_context("run-2"))


def test_the_same_batch_again_has_not_drifted(make_context: MakeContext):
    prepare(make_context("run-1"))
    ctx = make_context("run-2")
    prepare(ctx)
    told = ctx.summary("profile")
    assert (told["parts"]["stability"], told["warnings"]) == (1.0, [])
    told = ctx.summary("store")
    nothing = ("added", "changed", "books_added", "books_changed", "readers_added")
    assert [told[name] for name in nothing] == [0, 0, 0, 0, 0]


def test_a_report_alone_stores_nothing_and_later_batches_are_not_compared_with_it(
    make_context: MakeContext,
):
    ctx = make_context("report")
    for stage in BEFORE_TRAINING[:-1]:
        execute(stage, ctx)
    assert library_tables(ctx)["ratings"] == 0
    later = make_context("run-1")
    prepare(later)
    assert later.summary("profile")["compared_with"] is None


def test_rows_that_were_set_aside_lower_the_score_and_stand_in_the_report(
    make_context: MakeContext, library: Path
):
    ctx = make_context("run-1")
    prepare(ctx)
    bad = pd.DataFrame({"user_id": 1, "book_id": [900], "rating": 4, "timestamp": 1_700_000_000})
    pd.concat([small_ratings(), *[bad] * 100]).to_csv(library / "ratings.csv", index=False)
    worse = make_context("run-2")
    prepare(worse)
    assert worse.summary("profile")["score"] < ctx.summary("profile")["score"]
    page = (worse.folder.reading("profile") / "report.html").read_text()
    assert "unknown book" in page
    assert "100 ratings are of books that the catalogue does not have" in page


def test_ids_are_shown_as_text(make_context: MakeContext, library: Path):
    hostile = "<script>alert(1)</script>"
    frame = small_ratings().astype({"user_id": object})
    burst = pd.DataFrame(
        {
            "user_id": hostile,
            "book_id": range(1, N_BOOKS + 1),
            "rating": 3,
            "timestamp": 1_600_000_000,
        }
    )
    pd.concat([frame, burst]).to_csv(library / "ratings.csv", index=False)
    ctx = make_context()
    prepare(ctx)
    flagged = json.loads((ctx.folder.reading("profile") / "flagged_readers.json").read_text())
    assert hostile in {reader["user_id"] for reader in flagged}
    page = (ctx.folder.reading("profile") / "report.html").read_text()
    assert hostile not in page
    assert "&lt;script&gt;" in page


def test_links_of_the_report_lead_to_the_data_docs(make_context: MakeContext):
    ctx = make_context()
    prepare(ctx)
    folder = ctx.folder.reading("profile")
    page = (folder / "report.html").read_text()
    for target in ("../data_docs/raw/index.html", "../data_docs/clean/index.html"):
        assert f'href="{target}"' in page
        assert (folder / target).exists()


def test_a_catalogue_that_shrinks_is_refused(make_context: MakeContext, library: Path):
    prepare(make_context("run-1"))
    small_books().iloc[:15].to_csv(library / "books.csv", index=False)
    with pytest.raises(DataQualityError, match="of the books of the batch before are gone"):
        prepare(make_context("run-2"))
