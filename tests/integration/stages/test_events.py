"""What the stages tell others, and that they tell it once."""

import json
from pathlib import Path

import numpy as np
import pytest

from pipelines.errors import DataQualityError
from pipelines.registry import MlflowRegistry
from pipelines.stages import STAGES
from pipelines.stages.pipeline import execute, run_pipeline
from pipelines.stages.run_context import RunContext
from pipelines.storage.outbox import Outbox
from pipelines.storage.webhooks import WebhookRepository
from tests.pipeline_runs import N_BOOKS, N_READERS, MakeContext, small_ratings
from tests.receiver import receiving

pytestmark = pytest.mark.integration

BEFORE_TRAINING = tuple(STAGES)[: list(STAGES).index("preprocess")]


def listen(ctx: RunContext, url: str = "https://127.0.0.1:9/nobody") -> None:
    with ctx.unit_of_work() as session:
        WebhookRepository(session).add(url, ())


def told(ctx: RunContext) -> list[tuple[str, dict]]:
    """Type and data of every event, oldest first."""
    with ctx.unit_of_work() as session:
        written = Outbox(session).all(None, 100)
    return [(d.event_type, json.loads(d.body)["data"]) for d in reversed(written)]


def run(ctx: RunContext) -> None:
    run_pipeline(ctx, lambda *_: None)


def prepare(ctx: RunContext) -> None:
    for stage in BEFORE_TRAINING:
        execute(stage, ctx)


def noise(library: Path) -> None:
    """Ratings from which nothing can be learnt."""
    rng = np.random.default_rng(0)
    frame = small_ratings()
    frame["book_id"] = np.concatenate(
        [rng.choice(np.arange(1, N_BOOKS + 1), 12, replace=False) for _ in range(N_READERS)]
    )
    frame["rating"] = rng.permutation(frame["rating"])
    frame.to_csv(library / "ratings.csv", index=False)


def test_what_the_gate_decides_about_a_model_is_told_once(make_context: MakeContext, library: Path):
    good = make_context("run-1")
    listen(good)
    run(good)
    run(good)
    noise(library)
    run(make_context("run-2"))
    models = [event for event in told(good) if event[0].startswith("model.")]
    (promoted, first), (refused, second) = models
    assert (promoted, first["version"], first["run_id"]) == ("model.promoted", 1, "run-1")
    assert first["metrics"]["ndcg_at_10"] == good.summary("evaluate")["ndcg_at_10"]["hybrid"]
    assert (refused, second["version"], second["by"]) == ("model.refused", 2, "gate")
    assert second["reasons"][0].startswith("failed: ndcg_at_10 gain over popularity")


def test_a_batch_that_drifted_too_far_is_told_of_once_by_profile_and_store(
    make_context: MakeContext, library: Path
):
    prepare(make_context("run-1"))
    small_ratings().assign(rating=1).to_csv(library / "ratings.csv", index=False)
    ctx = make_context("run-2")
    listen(ctx)
    for _ in range(2):
        with pytest.raises(DataQualityError):
            prepare(ctx)
    (refused, why), (drifted, how) = told(ctx)
    assert (refused, drifted) == ("data.batch_refused", "data.drift_found")
    assert (why["run_id"], why["suite"]) == ("run-2", "quality gate")
    assert why["failed"] == len(ctx.summary("profile")["reasons"])
    assert why["report"] == how["report"] == ctx.summary("profile")["report"]
    assert how["compared_with"] == "run-1"
    (moved,) = [c for c in how["columns"] if c["column"] == "rating"]
    assert (moved["level"], moved["psi"] > 1) == ("critical", True)


def test_raw_data_that_break_an_expectation_are_told_of_without_a_value_of_theirs(
    make_context: MakeContext, library: Path
):
    frame = small_ratings()
    frame[frame["user_id"] == 1].assign(user_id="Ada Lovelace").to_csv(
        library / "ratings.csv", index=False
    )
    ctx = make_context()
    listen(ctx)
    with pytest.raises(DataQualityError):
        prepare(ctx)
    ((kind, why),) = told(ctx)
    assert (kind, why["suite"], why["failed"]) == ("data.batch_refused", "ratings", 1)
    assert "Ada" not in json.dumps(why)


def test_a_batch_like_the_last_one_is_nothing_to_tell(make_context: MakeContext):
    listen(make_context())
    prepare(make_context("run-1"))
    prepare(make_context("run-2"))
    assert told(make_context()) == []


def test_a_stage_sends_at_once_what_it_has_to_tell(make_context: MakeContext):
    ctx = make_context()
    rules = ctx.settings.webhooks.model_copy(update={"allow_private": True})
    quality = ctx.settings.quality.model_copy(update={"minimum_score": 99.9})
    changed = {"webhooks": rules, "quality": quality}
    ctx = RunContext(ctx.run_id, ctx.params, ctx.settings.model_copy(update=changed))
    with receiving() as receiver:
        listen(ctx, receiver.url)
        with pytest.raises(DataQualityError):
            prepare(ctx)
    assert [json.loads(got.body)["type"] for got in receiver.received] == ["data.batch_refused"]


def test_a_promotion_that_was_cut_short_is_told_when_it_is_repeated(
    make_context: MakeContext, monkeypatch: pytest.MonkeyPatch
):
    ctx = make_context()
    listen(ctx)
    set_alias = MlflowRegistry.set_alias

    def cut_short(registry: MlflowRegistry, alias: str, version: int) -> None:
        set_alias(registry, alias, version)
        if alias == "champion":
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(MlflowRegistry, "set_alias", cut_short)
        with pytest.raises(KeyboardInterrupt):
            run(ctx)
    assert told(ctx) == []
    for _ in range(2):
        execute("promote", ctx)
    ((kind, data),) = told(ctx)
    assert (kind, data["version"]) == ("model.promoted", 1)
    assert data["metrics"]["ndcg_at_10"] == ctx.summary("evaluate")["ndcg_at_10"]["hybrid"]
    assert ctx.summary("promote")["promoted"]
