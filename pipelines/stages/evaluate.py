"""Judge the hybrid and each of its parts on test rows, which nothing has seen before."""

import json
from dataclasses import asdict
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from pipelines.data.dataset import Dataset
from pipelines.data.splits import Part
from pipelines.evaluation.protocol import Evaluation, Holdout, evaluate, holdout
from pipelines.models.base import Recommender
from pipelines.models.factory import create
from pipelines.models.hybrid import HybridRecommender
from pipelines.stages.run_context import RunContext, Summary
from pipelines.stages.train import FITS, address, fitted

HYBRID = "hybrid"
BASELINE = "popularity"


def run(ctx: RunContext) -> Summary:
    """Write metrics with intervals and slices, and the numbers of each reader, for every model."""
    dataset = Dataset.load(ctx.folder.reading("preprocess"))
    models: list[str] = ctx.summary("preprocess")["models"]
    readers = holdout(
        dataset.interactions(*FITS["judging"]),
        dataset.interactions(Part.TEST),
        max_readers=ctx.settings.evaluation.max_readers,
        rng=ctx.rng("test readers"),
    )
    judged = _candidates(ctx, dataset, models)
    with ctx.stage("evaluate", inputs=["preprocess", "blend", *map(address, models)]) as draft:
        # One reader at a time is too little work for the threads of a BLAS: they slow it down.
        with threadpool_limits(1, "blas"):
            results = {n: _measure(ctx, m, readers, dataset) for n, m in judged.items()}
        for name, result in results.items():
            result.per_reader.to_parquet(draft.folder / f"{name}.parquet")
        report = {n: _plain(r) for n, r in results.items()}
        (draft.folder / "metrics.json").write_text(json.dumps(report, indent=1))
        draft.summary |= {
            "readers": len(readers),
            "ndcg_at_10": {n: r.metrics["ndcg_at_10"] for n, r in results.items()},
        }
        # Before the folder gets its name: a run that finds it may rely on MLflow's part as well.
        for name, result in results.items():
            _record(ctx, name, result)
    return draft.summary


def _candidates(ctx: RunContext, dataset: Dataset, models: list[str]) -> dict[str, Recommender]:
    parts = fitted(ctx.folder, models, "judging")
    hybrid = HybridRecommender.load(ctx.folder.reading("blend") / "judging")
    if BASELINE not in parts:  # the gate needs it, also where the hybrid does without
        data = dataset.training_data(*FITS["judging"])
        parts[BASELINE] = create(BASELINE).fit(data, rng=ctx.rng("baseline"))
    return {**parts, HYBRID: hybrid}


def _measure(ctx: RunContext, model: Recommender, readers: Holdout, dataset: Dataset) -> Evaluation:
    known = np.isin(dataset.parts, FITS["judging"])
    popularity = np.bincount(dataset.book_nums[known], minlength=len(dataset.books))
    return evaluate(
        model,
        readers,
        n_books=len(dataset.books),
        popularity=popularity,
        rng=ctx.rng(f"intervals {model.name}"),
    )


def _plain(result: Evaluation) -> dict[str, Any]:
    return {k: v for k, v in asdict(result).items() if k != "per_reader"}


def _record(ctx: RunContext, name: str, result: Evaluation) -> None:
    bounds = {
        f"{metric}_{side}": value
        for metric, pair in result.intervals.items()
        for side, value in zip(("low", "high"), pair, strict=True)
    }
    params: dict[str, Any] = {}
    if name == HYBRID:
        params = {f"weight_{n}": w for n, w in ctx.summary("blend")["weights"].items()}
    ctx.registry.record_run(
        name, ctx.run_id, params=params, metrics={**result.metrics, **bounds}, tags=ctx.tags()
    )
