"""Judge the hybrid and each of its parts on test rows, which nothing has seen before."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import TypeAdapter
from threadpoolctl import threadpool_limits

from pipelines.data.dataset import Dataset
from pipelines.data.splits import Part
from pipelines.evaluation.bootstrap import Comparison, Difference, compare
from pipelines.evaluation.leaks import assert_no_leak
from pipelines.evaluation.learning_curve import learner, learning_curve
from pipelines.evaluation.metrics import NO_BOOK
from pipelines.evaluation.protocol import BookFacts, Evaluation, Holdout, Ranks, evaluate, holdout
from pipelines.evaluation.report.page import report
from pipelines.evaluation.rival import AgainstChampion, NotCompared, compare_with_champion
from pipelines.models.base import Recommender
from pipelines.models.factory import create
from pipelines.models.hybrid import HybridRecommender
from pipelines.pages.page import Page
from pipelines.registry import CHAMPION
from pipelines.stages.rival import Measure, Rival, measured_champion
from pipelines.stages.run_context import RunContext, Summary
from pipelines.stages.train import FITS, address, fitted

HYBRID = "hybrid"
BASELINE = "popularity"
METRIC = "ndcg_at_10"
REPORT = "report"
"""The folder of the page and its pictures: `<stage>/report/evaluation.html`."""

Results = Mapping[str, Evaluation]
"""By name of the model."""
AGAINST: TypeAdapter[AgainstChampion | NotCompared | None] = TypeAdapter(
    AgainstChampion | NotCompared | None
)
"""The content of `champion.json`."""


def run(ctx: RunContext) -> Summary:
    """
    Write what was measured of the hybrid, of each of its parts, and of the popularity baseline.

    `metrics.json` holds for each model, by name:

    - `metrics`: ndcg_at_10, ndcg_at_20, recall_at_10, recall_at_20, precision_at_10, map_at_10,
      mrr_at_10, hit_rate_at_10, coverage_at_10, gini_at_10, novelty_at_10, diversity_at_10 (absent
      where the catalogue has neither genres nor authors), n_readers, seconds_per_1000_readers;
    - `intervals`: `[low, high]`, 95 %, of each metric that is a mean over readers;
    - `slices`: by name, n_readers, ndcg_at_10, ndcg_at_10_low, ndcg_at_10_high and recall_at_20;
      see `pipelines.evaluation.slices` for the names; those without readers are absent;
    - `split`: what it was measured on, the same for every model: `order` of reading ("timestamp",
      "row", or "none" where chance held out), `shares` and `rows` of train, validation and test,
      `readers` and `books` of the data, `judged_readers`;
    - `comparisons`, of the hybrid alone: by the other model, how much higher its NDCG@10 is: mean
      with its bounds low and high, n readers, p_value and p_value_holm. `champion` is the one of
      the registry, over the readers that it can be fairly compared by; see `stages.rival`.

    `<model>.parquet` has one row a judged reader: user_num, ndcg_at_10, recall_at_20, n_history,
    n_liked, n_relevant, and book_nums, the list of at most 20 books, best first.

    `champion.json` is what the gate holds the hybrid against: an `AgainstChampion`, a `NotCompared`
    where there is a champion that it cannot be compared with, or null.

    `learning_curve.json` is a `LearningCurve`, or null where there is none; `report/` holds the
    page about all this and its pictures, which the hybrid's run in MLflow has as well.

    Raises:
        DataError: the data tell a model what it has to find, or there is nobody to judge by.
        ModelError: a model gave impossible lists.
    """
    dataset = Dataset.load(ctx.folder.reading("preprocess"))
    models: list[str] = ctx.summary("preprocess")["models"]
    assert_no_leak(dataset.training_data(*FITS["judging"]), dataset.interactions(Part.TEST))
    readers = holdout(
        dataset.interactions(*FITS["judging"]),
        dataset.interactions(Part.TEST),
        max_readers=ctx.settings.evaluation.max_readers,
        rng=ctx.rng("test readers"),
    )
    judged = _candidates(ctx, dataset, models)
    with ctx.stage("evaluate", inputs=["preprocess", "blend", *map(address, models)]) as draft:
        measure = _measure(ctx, dataset)
        results = {name: measure(model, readers) for name, model in judged.items()}
        rival = measured_champion(ctx, judged[HYBRID], readers, dataset, measure)
        comparisons = _compared(ctx, results, rival)
        against = _against_champion(ctx, results[HYBRID], rival, comparisons, len(dataset.books))
        measured = _told(results, comparisons, _split(ctx, dataset, len(readers)))
        _write(draft.folder, measured, results)
        (draft.folder / "champion.json").write_bytes(AGAINST.dump_json(against, indent=1))
        curve = _learning_curve(ctx, judged, readers, dataset)
        (draft.folder / "learning_curve.json").write_text(json.dumps(curve, indent=1))
        _page(ctx, measured, curve).write(draft.folder / REPORT, "evaluation")
        draft.summary |= {
            "readers": len(readers),
            "report": str(Path(ctx.folder.path) / "evaluate" / REPORT / "evaluation.html"),
            METRIC: {n: r.metrics[METRIC] for n, r in results.items()},
        }
        # Before the folder gets its name: a run that finds it may rely on MLflow's part as well.
        for name, result in results.items():
            run_id = _record(ctx, name, result, comparisons if name == HYBRID else {})
            if name == HYBRID:
                ctx.registry.attach(run_id, draft.folder / REPORT, "evaluation")
    return draft.summary


def _candidates(ctx: RunContext, dataset: Dataset, models: list[str]) -> dict[str, Recommender]:
    parts = fitted(ctx.folder, models, "judging")
    hybrid = HybridRecommender.load(ctx.folder.reading("blend") / "judging")
    if BASELINE not in parts:  # the gate needs it, also where the hybrid does without
        data = dataset.training_data(*FITS["judging"])
        parts[BASELINE] = create(BASELINE).fit(data, rng=ctx.rng("baseline"))
    return {**parts, HYBRID: hybrid}


def _measure(ctx: RunContext, dataset: Dataset) -> Measure:
    """The one way in which all models of the run are measured, and the champion too."""
    known = np.isin(dataset.parts, FITS["judging"])
    popularity = np.bincount(dataset.book_nums[known], minlength=len(dataset.books))
    facts = BookFacts.of(dataset.catalogue.to_pandas(), popularity)

    def measure(model: Ranks | Recommender, readers: Holdout) -> Evaluation:
        # One reader at a time is too little work for the threads of a BLAS: they slow it down.
        with threadpool_limits(1, "blas"):
            return evaluate(
                model,
                readers,
                n_books=len(dataset.books),
                popularity=popularity,
                facts=facts,
                rng=ctx.rng(f"intervals {model.name}"),
            )

    return measure


def _compared(
    ctx: RunContext, results: Results, rival: Rival | NotCompared | None
) -> dict[str, Comparison]:
    ndcg = {name: result.per_reader[METRIC].to_numpy() for name, result in results.items()}
    served = ndcg.pop(HYBRID)
    if isinstance(rival, Rival):
        ndcg[CHAMPION] = rival.ndcg_at_10(len(served))
    return compare(served, ndcg, rng=ctx.rng("comparisons"))


def _against_champion(
    ctx: RunContext,
    challenger: Evaluation,
    rival: Rival | NotCompared | None,
    comparisons: Mapping[str, Comparison],
    n_books: int,
) -> AgainstChampion | NotCompared | None:
    if not isinstance(rival, Rival):
        return rival
    found = comparisons[CHAMPION]
    return compare_with_champion(
        challenger,
        rival.found,
        rival.fair,
        version=rival.version,
        gain=Difference(found.mean, found.low, found.high, found.n),
        milliseconds=rival.milliseconds,
        n_books=n_books,
        rng=ctx.rng("slices against the champion"),
    )


def _split(ctx: RunContext, dataset: Dataset, judged_readers: int) -> dict[str, Any]:
    held_out = ctx.settings.split.model_dump()
    return {
        "order": ctx.summary("ingest")["order"],
        "shares": {"train": round(1 - sum(held_out.values()), 6), **held_out},
        "rows": {part.name.lower(): int((dataset.parts == part).sum()) for part in Part},
        "readers": len(dataset.users),
        "books": len(dataset.books),
        "judged_readers": judged_readers,
    }


def _told(
    results: Results, comparisons: Mapping[str, Comparison], split: dict[str, Any]
) -> dict[str, Any]:
    """What stands in `metrics.json`."""
    measured: dict[str, dict[str, Any]] = {
        name: {
            "metrics": result.metrics,
            "intervals": result.intervals,
            "slices": result.slices,
            "split": split,
        }
        for name, result in results.items()
    }
    measured[HYBRID]["comparisons"] = {name: asdict(c) for name, c in comparisons.items()}
    return measured


def _write(folder: Path, measured: dict[str, Any], results: Results) -> None:
    # Without NaN, which neither JSON nor PostgreSQL knows.
    (folder / "metrics.json").write_text(json.dumps(measured, indent=1, allow_nan=False))
    for name, result in results.items():
        pq.write_table(_per_reader(result), folder / f"{name}.parquet")


def _per_reader(result: Evaluation) -> pa.Table:
    lists = [row[row != NO_BOOK] for row in result.books]
    table = pa.Table.from_pandas(result.per_reader, preserve_index=False)
    return table.append_column("book_nums", pa.array(lists, pa.list_(pa.int32())))


def _learning_curve(
    ctx: RunContext, judged: Mapping[str, Recommender], readers: Holdout, dataset: Dataset
) -> dict[str, Any] | None:
    max_seconds = ctx.settings.evaluation.learning_curve_seconds
    parts = {name: model for name, model in judged.items() if name != HYBRID}
    model = learner(parts, ctx.summary("blend")["weights"])
    if model is None or max_seconds == 0:
        return None
    data = dataset.training_data(*FITS["judging"], cache_folder=ctx.settings.home / "cache")
    rng = ctx.rng("learning curve")
    return asdict(learning_curve(model, data, readers, max_seconds=max_seconds, rng=rng))


def _page(ctx: RunContext, measured: dict[str, Any], curve: dict[str, Any] | None) -> Page:
    return report(
        measured,
        served=HYBRID,
        blend=ctx.summary("blend"),
        curve=curve,
        run_id=ctx.run_id,
        # Not of now: the page has to be the same whenever it is written.
        date=datetime.fromisoformat(ctx.folder.manifest("ingest")["finished_at"]),
    )


def _record(
    ctx: RunContext, name: str, result: Evaluation, comparisons: Mapping[str, Comparison]
) -> str:
    bounds = {
        f"{metric}_{side}": value
        for metric, pair in result.intervals.items()
        for side, value in zip(("low", "high"), pair, strict=True)
    }
    gains = {
        f"{METRIC}_over_{rival}{suffix}": value
        for rival, c in comparisons.items()
        for suffix, value in (
            ("", c.mean),
            ("_low", c.low),
            ("_high", c.high),
            ("_p_holm", c.p_value_holm),
        )
    }
    params: dict[str, Any] = {}
    if name == HYBRID:
        params = {f"weight_{n}": w for n, w in ctx.summary("blend")["weights"].items()}
    return ctx.registry.record_run(
        name,
        ctx.run_id,
        params=params,
        metrics={**result.metrics, **bounds, **gains},
        tags=ctx.tags(),
        data=ctx.data_used,
    )
