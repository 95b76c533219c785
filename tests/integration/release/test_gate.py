"""The gate on real MLflow and PostgreSQL: challengers of every kind, one after the other."""

import json
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from pipelines.errors import StageFailedError
from pipelines.models.item_knn import ItemKnnRecommender
from pipelines.registry import CHAMPION
from pipelines.stages.pipeline import execute, run_pipeline
from pipelines.stages.run_context import RunContext
from pipelines.storage.alias_moves import AliasMoves
from pipelines.storage.repositories import ModelRelease, ReleaseRepository
from tests.pipeline_runs import N_BOOKS, MakeContext

pytestmark = pytest.mark.integration

Challenger = Callable[..., RunContext]
GOOD = {"models": ("item_knn",)}
POPULAR = {"models": ("popularity",)}


@pytest.fixture
def challenger(make_context: MakeContext) -> Challenger:
    """A run of the same library under other settings."""

    def make(run_id: str, **changes: object) -> RunContext:
        ctx = make_context(run_id)
        quick = ctx.settings.evaluation.model_copy(update={"learning_curve_seconds": 0})
        settings = ctx.settings.model_copy(update={"evaluation": quick, **changes})
        return RunContext(run_id, ctx.params, settings)

    return make


def like(other: RunContext, ctx: RunContext) -> RunContext:
    """With what the other has trained from the same data: it need not be trained again."""
    later = shutil.ignore_patterns("evaluate", "register", "promote", "warm_cache", ".*")
    shutil.copytree(other.folder.path, ctx.folder.path, ignore=later)
    return ctx


def run(ctx: RunContext, last: str | None = None) -> RunContext:
    run_pipeline(ctx, lambda *_: None, last=last)
    return ctx


def release(ctx: RunContext) -> ModelRelease:
    version = ctx.summary("register")["version"]
    with ctx.unit_of_work() as session:
        found = ReleaseRepository(session).find(ctx.settings.registered_model, version)
    assert found is not None
    return found


def failed(ctx: RunContext) -> list[str]:
    return [c["name"] for c in release(ctx).decision["checks"] if not c["passed"]]


def champion(ctx: RunContext) -> int:
    return ctx.registry.by_alias(CHAMPION).version


def test_better_and_equal_challengers_come_in_and_worse_and_broken_ones_do_not(
    challenger: Challenger, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    first = run(challenger("first", **POPULAR))
    assert (failed(first), champion(first)) == ([], 1)

    ann = run(challenger("ann", **GOOD), last="register")
    bob = run(like(ann, challenger("bob", **GOOD)), last="register")
    better = check_of_two_at_once_one_wins(ann, bob)
    gain = json.loads((ann.folder.reading("evaluate") / "champion.json").read_text())["gain"]
    assert gain["low"] > 0

    equal = run(like(ann, challenger("equal", **GOOD)))
    assert failed(equal) == []
    assert champion(equal) == equal.summary("register")["version"] != better

    faster = run(like(first, challenger("faster", **POPULAR)))
    check_refused_with_its_numbers(faster, by=champion(equal))

    corrupt = run(like(ann, challenger("corrupt", **GOOD)), last="register")
    version = corrupt.summary("register")["version"]
    array = next(corrupt.registry.fetch(version, tmp_path).rglob("*.npy"))
    content = bytearray(array.read_bytes())
    content[-1] ^= 0xFF
    array.write_bytes(content)
    execute("promote", corrupt)
    assert failed(corrupt) == ["servable"]

    nothing = np.full(N_BOOKS, np.nan, np.float32)
    monkeypatch.setattr(ItemKnnRecommender, "score", lambda *_: nothing)
    monkeypatch.setattr(ItemKnnRecommender, "score_many", lambda _, h: np.stack([nothing] * len(h)))
    with pytest.raises(StageFailedError, match=r"stage evaluate failed: .* NaN"):
        run(like(ann, challenger("not-a-number", **GOOD)))
    assert champion(first) == equal.summary("register")["version"]
    assert len(first.registry.versions()) == 6


def check_of_two_at_once_one_wins(*both: RunContext) -> int:
    """Both were compared with version 1; the loser says why, and one version is champion."""
    with ThreadPoolExecutor(2) as threads:
        told = list(threads.map(lambda ctx: execute("promote", ctx), both))
    (winner,) = (ctx for ctx, one in zip(both, told, strict=True) if one["promoted"])
    (loser,) = (ctx for ctx in both if ctx is not winner)
    version = winner.summary("register")["version"]
    assert champion(winner) == version
    assert (failed(winner), failed(loser)) == ([], ["champion_stayed"])
    (reason,) = (r for r in release(loser).decision["reasons"] if r.startswith("failed"))
    assert reason == (
        f"failed: version {version} was made champion by run:{winner.run_id} after this one was "
        "compared with version 1: run the pipeline again to be compared with it"
    )
    with winner.unit_of_work() as session:
        moves = AliasMoves(session, winner.settings.registered_model, CHAMPION).all()
    assert [(m.to_version, m.moved_at is None) for m in moves] == [(version, False), (1, False)]
    return version


def check_refused_with_its_numbers(faster: RunContext, by: int) -> None:
    told = release(faster).decision
    assert {"gain_over_champion", "gain_over_popularity"} <= set(failed(faster))
    assert champion(faster) == by
    assert (told["champion"], told["by"]) == (by, "run:faster")
    assert told["rules"]["minimum_gain"] == -0.01
    checks = {check["name"]: check for check in told["checks"]}
    gain = checks["gain_over_champion"]
    assert gain["value"] == gain["interval"]["low"] < gain["threshold"]
    assert checks["latency"]["passed"]
    kept = json.loads((faster.folder.reading("promote") / "decision.json").read_text())
    assert kept["decision"] == told
