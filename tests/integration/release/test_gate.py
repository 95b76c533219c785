"""The gate on real MLflow and PostgreSQL: challengers of every kind, one after the other."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from pipelines.errors import StageFailedError
from pipelines.models.item_knn import ItemKnnRecommender
from pipelines.registry import CHAMPION
from pipelines.stages import STAGES
from pipelines.stages.pipeline import execute, run_pipeline
from pipelines.stages.run_context import RunContext
from pipelines.storage.alias_moves import AliasMoves
from pipelines.storage.repositories import ModelRelease, ReleaseRepository
from tests.pipeline_runs import MakeContext

pytestmark = pytest.mark.integration

Challenger = Callable[..., RunContext]
WEAK = {"models": ("item_knn",), "hyperparameters": {"item_knn": {"k_neighbors": 1}}}
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
    first = run(challenger("first", **WEAK))
    assert (failed(first), champion(first)) == ([], 1)

    better = run(challenger("better", **GOOD))
    assert (failed(better), champion(better)) == ([], 2)
    gain = json.loads((better.folder.reading("evaluate") / "champion.json").read_text())["gain"]
    assert gain["low"] > 0

    equal = run(challenger("equal", **GOOD))
    assert (failed(equal), champion(equal)) == ([], 3)

    faster = run(challenger("faster", **POPULAR))
    told = release(faster).decision
    assert "gain_over_champion" in failed(faster)
    assert champion(faster) == 3
    assert (told["champion"], told["by"], told["rules"]["minimum_gain"]) == (
        *(3, "run:faster", -0.01),
    )
    (check,) = (c for c in told["checks"] if c["name"] == "gain_over_champion")
    assert check["value"] == check["interval"]["low"] < check["threshold"]
    (latency,) = (c for c in told["checks"] if c["name"] == "latency")
    assert latency["passed"]
    kept = faster.folder.reading("promote") / "decision.json"
    assert json.loads(kept.read_text())["decision"] == json.loads(json.dumps(told))

    corrupt = run(challenger("corrupt", **GOOD), last="register")
    version = corrupt.summary("register")["version"]
    array = next(corrupt.registry.fetch(version, tmp_path).rglob("*.npy"))
    array.write_bytes(array.read_bytes()[:-1] + b"\xff")
    execute("promote", corrupt)
    assert (failed(corrupt), champion(corrupt)) == (["servable"], 3)

    with monkeypatch.context() as patch:
        nothing = np.full(40, np.nan, np.float32)
        patch.setattr(ItemKnnRecommender, "score", lambda *_: nothing)
        patch.setattr(ItemKnnRecommender, "score_many", lambda _, h: np.stack([nothing] * len(h)))
        with pytest.raises(StageFailedError):
            run(challenger("not-a-number", **GOOD))
    assert champion(first) == 3
    assert [v.version for v in first.registry.versions()] == [5, 4, 3, 2, 1]


def test_of_two_runs_that_end_at_once_one_is_promoted_and_the_other_says_why(
    challenger: Challenger,
):
    run(challenger("first", **WEAK))
    both = [run(challenger(name, **GOOD), last="register") for name in ("ann", "bob")]
    with ThreadPoolExecutor(2) as threads:
        told = list(threads.map(lambda ctx: execute("promote", ctx), both))
    (winner,) = (ctx for ctx, one in zip(both, told, strict=True) if one["promoted"])
    (loser,) = (ctx for ctx in both if ctx is not winner)
    assert failed(loser) == ["champion_stayed"]
    version = winner.summary("register")["version"]
    assert champion(winner) == version
    (reason,) = (r for r in release(loser).decision["reasons"] if r.startswith("failed"))
    assert reason == (
        f"failed: version {version} was made champion by run:{winner.run_id} after this one was "
        "compared with version 1: run the pipeline again to be compared with it"
    )
    with winner.unit_of_work() as session:
        moves = AliasMoves(session, winner.settings.registered_model, CHAMPION).all()
    assert [m.to_version for m in moves] == [version, 1]
    assert all(m.moved_at for m in moves)
    assert list(STAGES)[-2] == "promote"  # so that `last` above ends before it
