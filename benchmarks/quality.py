"""
The hybrid against tuned peers: same split, same readers, same judge.

    python -m benchmarks.quality --data path/to/goodbooks-10k
"""

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from threadpoolctl import threadpool_limits

from benchmarks.fit_once import measured, ours
from benchmarks.judging import Judge, Row, ratio
from benchmarks.measuring import PEERS_PYTHON, RESULTS, print_table, run_module, write_results
from benchmarks.runs import run_all, temporary_run
from pipelines.data.dataset import Dataset
from pipelines.data.interactions import History
from pipelines.evaluation.protocol import LIST_LENGTH
from pipelines.models.base import BookNums, rank
from pipelines.models.hybrid import HybridRecommender
from pipelines.stages.evaluate import HYBRID
from pipelines.stages.run_context import RunContext
from pipelines.stages.train import FITS, address

NDCG_TARGET = 1.20
COVERAGE_TARGET = 2.0
DAMPINGS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
"""Of the same hybrid: how far its lists may be spread over the catalogue, see `exposure.damped`."""

Lists = dict[str, list[BookNums]]
"""By model, in the order of the judged readers."""


def our_lists(ctx: RunContext) -> Lists:
    """What the pipeline's own models recommended when it judged them."""
    return {p.stem: _read(p) for p in sorted(ctx.folder.reading("evaluate").glob("*.parquet"))}


def spread_lists(ctx: RunContext, histories: Sequence[History]) -> Lists:
    """What the hybrid recommends where it is asked for other dampings than its own."""
    hybrid = HybridRecommender.load(ctx.folder.reading("blend") / "judging")
    with threadpool_limits(1, "blas"):  # as when the pipeline judged it
        return {
            f"{HYBRID}, damping {knob}": [
                rank(hybrid.score_damped(h, knob), LIST_LENGTH, h.book_nums).book_nums
                for h in histories
            ]
            for knob in DAMPINGS
        }


def our_fit_seconds(ctx: RunContext, dataset: Dataset, threads: int) -> dict[str, float]:
    """Each model fitted once more, alone; the hybrid is the sum of its parts."""
    data = dataset.training_data(*FITS["judging"])
    seconds: dict[str, float] = {}
    for name in ctx.summary("preprocess")["models"]:
        fit = ours(name, ctx.summary(address(name))["config"], data, ctx.params.seed)
        with threadpool_limits(threads):
            seconds[name] = measured(fit)["seconds"]
    return seconds | {HYBRID: sum(seconds.values())}


def peers(
    ctx: RunContext, names: list[str], trials: int, threads: int
) -> tuple[Lists, dict[str, Any]]:
    """What tuned peers recommend to the same readers, and how they were tuned."""
    readers = ctx.folder.reading("evaluate") / f"{HYBRID}.parquet"
    options = ["--dataset", str(ctx.folder.reading("preprocess")), "--readers", str(readers)]
    with tempfile.TemporaryDirectory(prefix="bookrec-benchmark-") as folder:
        options += ["--lists", folder, "--trials", str(trials)]
        options += ["--peers", *names] if names else []
        tuned = run_module("benchmarks.peers.search", *options, library="peers", threads=threads)
        return {name: _read(Path(folder) / f"{name}.parquet") for name in tuned}, tuned


def compare(judge: Judge, rows: list[Row], lists: Lists, rivals: Lists) -> dict[str, Any]:
    """The hybrid, as it is and with each damping, against the peer of the highest NDCG@10."""
    by_name = {row.model: row for row in rows}
    best = max((by_name[name] for name in rivals), key=lambda row: row.ndcg_at_10)
    theirs = judge.ndcg(rivals[best.model])
    verdicts = {}
    for name in (name for name in lists if name.startswith(HYBRID)):
        value, low, high = ratio(judge.ndcg(lists[name]), theirs)
        verdicts[name] = {
            "ndcg_ratio": value,
            "ndcg_ratio_interval": (low, high),
            "coverage_ratio": by_name[name].coverage_at_10 / best.coverage_at_10,
        }
    return {"best_peer": best.model, "verdicts": verdicts}


def show(rows: list[Row], verdict: dict[str, Any]) -> None:
    lines = [
        (
            row.model,
            f"{row.ndcg_at_10:.4f}",
            f"{row.interval[0]:.4f}-{row.interval[1]:.4f}",
            f"{row.recall_at_20:.4f}",
            f"{row.coverage_at_10:.3f}",
            f"{row.fit_seconds:.1f}",
        )
        for row in sorted(rows, key=lambda row: -row.ndcg_at_10)
    ]
    print_table(["model", "NDCG@10", "95 %", "recall@20", "coverage@10", "fit s"], lines)
    print(
        f"\nover {verdict['best_peer']}, the peer of the highest NDCG@10; "
        f"targets {NDCG_TARGET:.2f} and {COVERAGE_TARGET:.2f}\n"
    )
    ratios = [
        (
            name,
            f"{told['ndcg_ratio']:.3f}",
            "{:.3f}-{:.3f}".format(*told["ndcg_ratio_interval"]),
            f"{told['coverage_ratio']:.3f}",
            _reached(told),
        )
        for name, told in verdict["verdicts"].items()
    ]
    print_table(["model", "NDCG@10 ratio", "95 %", "coverage@10 ratio", "reached"], ratios)


def _reached(told: dict[str, Any]) -> str:
    reached = {
        "NDCG": told["ndcg_ratio"] >= NDCG_TARGET,
        "coverage": told["coverage_ratio"] >= COVERAGE_TARGET,
    }
    return " and ".join(name for name, is_so in reached.items() if is_so) or "none"


def _read(path: Path) -> list[BookNums]:
    return [np.array(books, np.int32) for books in pq.read_table(path)["book_nums"].to_pylist()]


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="folder of goodbooks-10k, else the sample")
    parser.add_argument("--source", help="what --data is, if not goodbooks-10k")
    parser.add_argument("--peers", nargs="+", default=[], help='all, or "LensKit EASE" and so on')
    parser.add_argument("--trials", type=int, default=25, help="configurations tried of each peer")
    parser.add_argument("--threads", type=int, default=1, help="of every fit that is timed")
    parser.add_argument("--out", type=Path, default=RESULTS / "quality.json")
    arguments = parser.parse_args(argv)
    source = arguments.source or ("goodbooks-10k" if arguments.data else "sample")
    with temporary_run(source, arguments.data) as ctx:
        run_all(ctx)
        readers = pq.read_table(ctx.folder.reading("evaluate") / f"{HYBRID}.parquet")
        dataset = Dataset.load(ctx.folder.reading("preprocess"))
        judge = Judge(dataset, readers["user_num"].to_numpy())
        own, seconds = our_lists(ctx), our_fit_seconds(ctx, dataset, arguments.threads)
        spread = spread_lists(ctx, judge.histories)
        own |= spread
        seconds |= dict.fromkeys(spread, seconds[HYBRID])
        rivals, tuned = peers(ctx, arguments.peers, arguments.trials, arguments.threads)
        seconds |= {name: told["fit_seconds"] for name, told in tuned.items()}
        rows = [judge.row(name, one, seconds[name]) for name, one in {**own, **rivals}.items()]
    verdict = compare(judge, rows, own, rivals)
    print(f"\n{source}; peers: the best of {arguments.trials} configurations on validation rows\n")
    show(rows, verdict)
    if not PEERS_PYTHON.exists():
        print("\nLensKit is not installed (make bench-peers): implicit was the only peer")
    options = {"source": source, "trials": arguments.trials, "threads": arguments.threads}
    told = {"options": options, "rows": [asdict(row) for row in rows], "tuning": tuned}
    write_results(arguments.out, told | verdict)


if __name__ == "__main__":
    main()
