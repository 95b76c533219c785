import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import redis
from pydantic import SecretStr

from pipelines.champion import load_by_alias
from pipelines.data.interactions import History
from pipelines.errors import StageFailedError, StorageError
from pipelines.run_params import unattended_params
from pipelines.stages import STAGES
from pipelines.stages.pipeline import execute, run_pipeline, steps
from pipelines.stages.run_context import RunContext
from pipelines.storage.cache_keys import champion_channel
from pipelines.storage.repositories import LibraryRepository, ReleaseRepository
from tests.pipeline_runs import N_BOOKS, N_READERS, MakeContext, small_books, small_ratings

pytestmark = pytest.mark.integration


class Watcher:
    """Remembers what a run reported."""

    def __init__(self) -> None:
        self.ran: list[str] = []
        self.reused: list[str] = []

    def __call__(self, address, summary, seconds, reused):
        (self.reused if reused else self.ran).append(address)


def run(ctx: RunContext) -> Watcher:
    watcher = Watcher()
    run_pipeline(ctx, watcher)
    return watcher


def champion(ctx: RunContext):
    return load_by_alias(ctx.registry, "champion", ctx.settings.home / "models")


def measured(ctx: RunContext) -> dict:
    """Everything but the time it took, and whom it was compared with."""
    models = json.loads((ctx.folder.reading("evaluate") / "metrics.json").read_text())
    for model in models.values():
        del model["metrics"]["seconds_per_1000_readers"]
        model.pop("comparisons", None)
    return models


def lists(ctx: RunContext) -> list:
    bundle, _ = champion(ctx)
    return [bundle.recommend(str(user), 5) for user in bundle.users]


def test_a_run_ends_with_a_champion_that_beats_popularity(make_context: MakeContext):
    ctx = make_context()
    watcher = run(ctx)
    assert list(dict.fromkeys(a.split("/")[0] for a in watcher.ran)) == list(STAGES)
    scores = ctx.summary("evaluate")["ndcg_at_10"]
    assert scores["hybrid"] > scores["popularity"]
    bundle, version = champion(ctx)
    assert version.version == ctx.summary("register")["version"] == 1
    assert version.aliases == ("challenger", "champion")
    assert (len(bundle.users), len(bundle.books)) == (N_READERS, N_BOOKS)


def test_a_reader_gets_books_of_their_taste_that_they_have_not_met(make_context: MakeContext):
    ctx = make_context()
    run(ctx)
    bundle, _ = champion(ctx)
    met = set(small_ratings().query("user_id == 4")["book_id"])
    answer = bundle.recommend("4", 5)
    assert answer.source == "model"
    assert [item.book_id % 2 for item in answer.items] == [0] * 5
    assert not met & {item.book_id for item in answer.items}
    assert all(item.reasons for item in answer.items)


def test_what_was_learnt_from_lies_in_postgresql(make_context: MakeContext):
    ctx = make_context()
    run(ctx)
    with ctx.unit_of_work() as session:
        counts = LibraryRepository(session, ctx.params.dataset).counts()
        releases = ReleaseRepository(session).all(ctx.settings.registered_model)
    assert counts == {"books": N_BOOKS, "readers": N_READERS, "ratings": len(small_ratings())}
    assert [(r.version, r.run_id, r.accepted) for r in releases] == [(1, "run-1", True)]


def test_mlflow_holds_one_flat_run_a_model(make_context: MakeContext):
    from mlflow.tracking import MlflowClient

    ctx = make_context()
    run(ctx)
    uri = ctx.settings.mlflow_tracking_uri.get_secret_value()
    client = MlflowClient(uri, uri)
    experiment = client.get_experiment_by_name(ctx.settings.experiment)
    runs = client.search_runs([experiment.experiment_id])
    assert {r.data.tags["model"] for r in runs} == {*ctx.settings.models, "hybrid"}
    for found in runs:
        assert found.data.tags["pipeline_run"] == "run-1"
        assert {"git_sha", "data_fingerprint", "airflow_run_id"} <= set(found.data.tags)
        assert json.loads(found.data.tags["feature_versions"]) == ctx.feature_versions
        assert "mlflow.parentRunId" not in found.data.tags
        assert {"ndcg_at_10", "ndcg_at_10_low", "ndcg_at_10_high"} <= set(found.data.metrics)
    (hybrid,) = (r for r in runs if r.data.tags["model"] == "hybrid")
    assert hybrid.data.metrics["data_quality_score"] == ctx.summary("profile")["score"]
    assert hybrid.data.metrics["data_consistency"] == 1.0


def test_a_version_is_described_by_its_model_card(make_context: MakeContext, tmp_path: Path):
    from mlflow.tracking import MlflowClient

    ctx = make_context()
    run(ctx)
    uri = ctx.settings.mlflow_tracking_uri.get_secret_value()
    client = MlflowClient(uri, uri)
    version = client.get_model_version(ctx.settings.registered_model, "1")
    kept = Path(client.download_artifacts(version.run_id, "model_card", str(tmp_path)))
    assert (kept / "model_card.html").read_text().startswith("<!DOCTYPE html>")
    card = (kept / "model_card.md").read_text()
    ndcg = ctx.summary("evaluate")["ndcg_at_10"]["hybrid"]
    for text in (card, version.description):
        assert f"NDCG@10 | {ndcg:.3f} (" in text
    assert f"| Ratings | {len(small_ratings()):,} |" in card
    assert "model\\_card/" in version.description


@pytest.mark.once
def test_features_have_another_version_only_where_their_content_changed(make_context: MakeContext):
    first, again = make_context(), make_context("run-2")
    split = again.settings.split.model_copy(update={"test": 0.4})
    settings = again.settings.model_copy(update={"split": split})
    other = RunContext("run-3", again.params, settings)
    for ctx in (first, again, other):
        for stage in list(STAGES)[: list(STAGES).index("train")]:
            execute(stage, ctx)
    before, after = first.feature_versions, other.feature_versions
    assert again.feature_versions == before
    assert {name for name in before if before[name] != after[name]} == {"interactions"}
    assert set(before) == {"users", "catalogue", "interactions", "editions"}


def test_every_registered_model_names_the_report_on_its_data(make_context: MakeContext):
    ctx = make_context()
    run(ctx)
    _, version = champion(ctx)
    for tag in ("data_quality_report", "data_docs"):
        assert Path(version.tags[tag]).read_text().startswith("<!DOCTYPE html>")
    assert float(version.tags["data_quality_score"]) > 80


def test_a_registered_model_opens_with_plain_mlflow(make_context: MakeContext):
    import mlflow

    ctx = make_context()
    run(ctx)
    mlflow.set_tracking_uri(ctx.settings.mlflow_tracking_uri.get_secret_value())
    model = mlflow.pyfunc.load_model(f"models:/{ctx.settings.registered_model}@champion")
    answer = model.predict(pd.DataFrame({"user_id": [4]}), params={"n": 3})
    bundle, _ = champion(ctx)
    assert list(answer["book_id"]) == [i.book_id for i in bundle.recommend("4", 3).items]


@pytest.mark.once
def test_no_file_of_a_registered_model_is_a_pickle(make_context: MakeContext):
    ctx = make_context()
    run(ctx)
    bundle = ctx.registry.fetch(1, ctx.settings.home / "models")
    names = {p.suffix for p in bundle.parent.parent.rglob("*") if p.is_file()}
    assert not names & {".pkl", ".pickle", ".joblib"}


def test_the_same_run_again_reuses_what_stands_and_registers_nothing_new(make_context: MakeContext):
    first, again = make_context(), make_context()
    run(first)
    watcher = run(again)
    assert watcher.ran == ["ingest", "register", "promote", "warm_cache"]
    assert [v.version for v in again.registry.versions()] == [1]


@pytest.mark.once
def test_changed_data_is_noticed_by_a_rerun(make_context: MakeContext, library: Path):
    run(make_context())
    small_ratings().iloc[:-5].to_csv(library / "ratings.csv", index=False)
    assert run(make_context()).reused == []


@pytest.mark.once
def test_the_same_data_and_seed_give_the_same_model_and_metrics(make_context: MakeContext):
    first, second = make_context("run-1"), make_context("run-2")
    run(first)
    before = lists(first)
    run(second)
    assert lists(second) == before
    assert [v.version for v in second.registry.versions()] == [2, 1]
    assert measured(first) == measured(second)
    against = json.loads((second.folder.reading("evaluate") / "champion.json").read_text())
    changes = [against["gain"], *against["slices"].values()]
    assert {(c["mean"], c["low"], c["high"]) for c in changes} == {(0, 0, 0)}


def test_an_older_run_repeated_never_replaces_a_newer_champion(make_context: MakeContext):
    first, second = make_context("run-1"), make_context("run-2")
    run(first)
    run(second)
    run(first)
    assert champion(first)[1].version == 2
    assert first.summary("promote")["accepted"]
    assert not first.summary("promote")["promoted"]


def test_a_challenger_that_proves_nothing_is_refused_and_the_champion_stays(
    make_context: MakeContext, library: Path
):
    run(make_context("run-1"))
    noise = np.random.default_rng(0)
    frame = small_ratings()
    frame["book_id"] = np.concatenate(
        [noise.choice(np.arange(1, N_BOOKS + 1), 12, replace=False) for _ in range(N_READERS)]
    )
    frame["rating"] = noise.permutation(frame["rating"])
    frame.to_csv(library / "ratings.csv", index=False)
    ctx = make_context("run-2")
    run(ctx)
    told = ctx.summary("promote")
    assert (told["accepted"], told["promoted"]) == (False, False)
    assert told["reasons"][0].startswith("failed: ndcg_at_10 gain over popularity")
    assert champion(ctx)[1].version == 1
    challenger = ctx.registry.by_alias("challenger")
    assert challenger is not None
    assert challenger.version == 2
    with ctx.unit_of_work() as session:
        releases = ReleaseRepository(session).all(ctx.settings.registered_model)
    assert [(r.version, r.accepted) for r in releases] == [(2, False), (1, True)]


def test_two_processes_cannot_be_at_the_same_run(make_context: MakeContext):
    ctx = make_context()
    with ctx.folder.reserved(), pytest.raises(StorageError, match="by another process"):
        run(make_context())


@pytest.mark.once
def test_a_setting_that_changes_what_is_made_is_noticed_by_a_rerun(make_context: MakeContext):
    ctx = make_context()
    run(ctx)
    fewer = ctx.settings.model_copy(update={"models": ("popularity", "item_knn")})
    run(RunContext(ctx.run_id, ctx.params, fewer))
    assert set(ctx.summary("blend")["weights"]) == {"popularity", "item_knn"}


@pytest.mark.once
def test_a_book_that_nobody_has_met_is_recommended_by_its_catalogue_entry(
    make_context: MakeContext, library: Path
):
    books = small_books()
    entry = books.iloc[[1]].assign(book_id=N_BOOKS + 1, title="Volume without a reader")
    pd.concat([books, entry]).to_csv(library / "books.csv", index=False)
    ctx = make_context()
    run(ctx)
    bundle, _ = champion(ctx)
    (new,) = bundle.hybrid.new_
    assert bundle.books.ids(np.array([new], np.int32)) == [N_BOOKS + 1]
    assert bundle.hybrid.config.new_books == ctx.summary("blend")["new_books"] > 0
    fond, other = (History.of(bundle.books.nums(books)) for books in ([2, 4, 6], [1, 3, 5]))
    assert bundle.hybrid.score(fond)[new] > bundle.hybrid.score(other)[new]


def test_a_schedule_follows_the_champion(make_context: MakeContext):
    ctx = make_context()
    given = {"source": None, "data_path": None, "library": None, "seed": 3}
    first = RunContext.opened("run-9", given, ctx.settings, orchestrator_run="")
    assert first.params.source == "sample"
    run(ctx)
    later = RunContext.opened("run-9", given, ctx.settings, orchestrator_run="")
    assert later.params == ctx.params.model_copy(update={"seed": 3})


def test_a_schedule_keeps_the_name_of_the_library(make_context: MakeContext):
    ctx = make_context(library="shop")
    run(ctx)
    assert unattended_params(ctx.settings, ctx.registry, seed=42) == ctx.params
    assert ctx.registry.by_alias("champion").tags["library"] == "shop"


@pytest.mark.once
def test_rows_that_cannot_be_used_are_set_aside_with_their_rule(
    make_context: MakeContext, library: Path
):
    good = small_ratings().astype(str)
    bad = pd.DataFrame(
        [
            ["1", "2", "oops", "1700000000"],  # not a number
            ["1", "2", "77", "1700000000"],  # off the scale
            ["1", "999", "4", "1700000000"],  # a book that the catalogue lacks
            ["", "2", "4", "1700000000"],  # nobody
            good.iloc[0].tolist(),  # the same pair again
        ],
        columns=good.columns,
    )
    pd.concat([good, bad]).to_csv(library / "ratings.csv", index=False)
    ctx = make_context()
    run(ctx)
    rules = pd.concat(
        pq.read_table(ctx.folder.reading(stage) / "quarantine.parquet").to_pandas()
        for stage in ("ingest", "validate", "clean")
    )["rule"].tolist()
    assert sorted(rules) == [
        "duplicate_pair",
        "missing_user_id",
        "rating_not_a_number",
        "rating_out_of_scale",
        "unknown_book",
    ]
    assert ctx.summary("clean")["ratings"] == len(good)
    assert len(rules) + len(good) == len(good) + len(bad)


@pytest.mark.once
def test_a_critical_expectation_stops_the_run_before_training_and_leaves_its_report(
    make_context: MakeContext, library: Path
):
    frame = small_ratings()
    frame.loc[frame.index % 2 == 0, "user_id"] = None  # half of the rows belong to nobody
    frame["user_id"] = frame["user_id"].astype("Int64")
    # Unreadable rows are rejected on reading, so only one reader is left to be validated.
    frame[frame["user_id"].isna() | (frame["user_id"] == 1)].to_csv(
        library / "ratings.csv", index=False
    )
    ctx = make_context()
    with pytest.raises(StageFailedError, match="stage validate failed: ratings: 1 critical"):
        run(ctx)
    assert (ctx.folder.reading("data_docs/raw") / "index.html").exists()
    assert not ctx.folder.has("validate")
    assert ctx.registry.versions() == []


@pytest.mark.once
def test_text_ids_and_no_ratings_and_no_catalogue_are_enough(
    make_context: MakeContext, library: Path
):
    frame = small_ratings().query("rating == 5")[["user_id", "book_id"]]
    frame = frame.assign(
        user_id="u-" + frame["user_id"].astype(str), book_id="00" + frame["book_id"].astype(str)
    )
    (library / "books.csv").unlink()
    frame.to_csv(library / "ratings.csv", index=False)
    ctx = make_context()
    run(ctx)
    bundle, _ = champion(ctx)
    answer = bundle.recommend("u-4", 3)
    assert answer.source == "model"
    assert all(str(item.book_id).startswith("00") for item in answer.items)


def test_the_steps_are_the_stages_with_training_once_a_model(make_context: MakeContext):
    ctx = make_context()
    addresses = ["/".join(step) for step in steps(ctx)]
    models = [f"train/{name}" for name in ctx.settings.models]
    stages = list(STAGES)
    at = stages.index("train")
    assert addresses == [*stages[:at], *models, *stages[at + 1 :]]


@pytest.mark.once
def test_every_manifest_names_its_inputs_and_checksums(make_context: MakeContext):
    ctx = make_context()
    run(ctx)
    for manifest in ctx.folder.path.rglob("*/manifest.json"):
        recorded = json.loads(manifest.read_text())
        if "address" in recorded:  # the others are those of models
            assert {"params", "inputs", "files", "summary", "seconds"} <= set(recorded)


def test_a_promotion_is_announced(make_context: MakeContext, redis_url: str):
    ctx = make_context()
    heard = redis.Redis.from_url(redis_url).pubsub(ignore_subscribe_messages=True)
    heard.subscribe(champion_channel(ctx.settings.registered_model))
    settings = ctx.settings.model_copy(update={"redis_url": SecretStr(redis_url)})
    run(replace(ctx, settings=settings))
    heard.get_message(timeout=1)  # the confirmation, which is left out
    message = heard.get_message(timeout=5)
    heard.close()
    assert message is not None
    assert json.loads(message["data"]) == {"model": settings.registered_model, "version": 1}
