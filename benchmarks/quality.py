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
from pipelines.models.base import BookNums
from pipelines.stages.evaluate import HYBRID
from pipelines.stages.run_context import RunContext
from pipelines.stages.train import FITS, address

NDCG_TARGET = 1.20
COVERAGE_TARGET = 2.0

Lists = dict[str, list[BookNums]]
"""By model, in the order of the judged readers."""


def our_lists(ctx: RunContext) -> Lists:
    """What the pipeline's own models recommended when it judged them."""
    return {p.stem: _read(p) for p in sorted(ctx.folder.reading("evaluate").glob("*.parquet"))}


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
    """The hybrid against the peer of the highest NDCG@10."""
    by_name = {row.model: row for row in rows}
    best = max((by_name[name] for name in rivals), key=lambda row: row.ndcg_at_10)
    value, low, high = ratio(judge.ndcg(lists[HYBRID]), judge.ndcg(rivals[best.model]))
    return {
        "best_peer": best.model,
        "ndcg_ratio": value,
        "ndcg_ratio_interval": (low, high),
        "coverage_ratio": by_name[HYBRID].coverage_at_10 / best.coverage_at_10,
    }


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
    low, high = verdict["ndcg_ratio_interval"]
    ndcg, coverage = verdict["ndcg_ratio"], verdict["coverage_ratio"]
    print(f"\nhybrid / {verdict['best_peer']}:")
    print(f"  NDCG@10     {ndcg:.3f} ({low:.3f}-{high:.3f}), {_against(ndcg, NDCG_TARGET)}")
    print(f"  coverage@10 {coverage:.3f}, {_against(coverage, COVERAGE_TARGET)}")


def _against(value: float, target: float) -> str:
    return f"target {target:.2f} {'reached' if value >= target else 'not reached'}"


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
