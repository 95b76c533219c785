"""
From CSV to validated clean Parquet against a bare pyarrow, and an upsert against a plain COPY.

    python -m benchmarks.data --ratings 10
"""

import argparse
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.data_once import STAGES
from benchmarks.measuring import RESULTS, Spread, print_table, run_module, write_results
from benchmarks.synthetic import write_ratings

MILLION = 1_000_000
CONTESTS = ("bare", "stages", "loads")
SPEED_TARGET = 1 / 3
"""Of a bare pyarrow.csv read and Parquet write."""
PEAK_TARGET = 1536
"""MiB, of the whole process that runs the stages."""
LOAD_TARGET = 1 / 2
"""Of a plain COPY."""

Told = Mapping[str, Mapping[str, Spread]]


def measure(files: Mapping[str, Path], repeats: int) -> Told:
    """Every contestant in a fresh process, in turns."""
    told: dict[str, list[dict[str, float]]] = {contest: [] for contest in CONTESTS}
    for _ in range(repeats):
        for contest in CONTESTS:
            options = (contest, "--data", str(files["loads" if contest == "loads" else "files"]))
            told[contest].append(
                run_module(
                    "benchmarks.data_once",
                    *options,
                    library="bookrec",
                    threads=os.cpu_count() or 1,
                )
            )
    return {
        contest: {name: Spread.of([one[name] for one in runs]) for name in runs[0]}
        for contest, runs in told.items()
    }


def verdicts(told: Told) -> dict[str, dict[str, Any]]:
    """What was aimed at, and what came of it."""
    speed = told["bare"]["seconds"].median / told["stages"]["seconds"].median
    peak = told["stages"]["peak_mib"].high
    load = told["loads"]["copy"].median / told["loads"]["upsert"].median
    return {
        "speed of a bare read and write": _verdict(speed, SPEED_TARGET, speed >= SPEED_TARGET),
        "peak MiB": _verdict(peak, PEAK_TARGET, peak <= PEAK_TARGET),
        "speed of a plain COPY": _verdict(load, LOAD_TARGET, load >= LOAD_TARGET),
    }


def _verdict(found: float, target: float, reached: bool) -> dict[str, Any]:
    return {"found": found, "target": target, "reached": reached}


def show(told: Told, found: Mapping[str, Mapping[str, Any]], sizes: Mapping[str, int]) -> None:
    bare, stages, loads = (told[contest] for contest in CONTESTS)
    lines = [
        ("bare pyarrow", f"{sizes['files']:,}", str(bare["seconds"]), f"{bare['peak_mib']}"),
        ("our stages", f"{sizes['files']:,}", str(stages["seconds"]), f"{stages['peak_mib']}"),
        *((f"  {stage}", "", str(stages[stage]), "") for stage in STAGES),
        ("plain COPY", f"{sizes['loads']:,}", str(loads["copy"]), ""),
        ("upsert", f"{sizes['loads']:,}", str(loads["upsert"]), ""),
        ("upsert again", f"{sizes['loads']:,}", str(loads["upsert_again"]), ""),
    ]
    print_table(["contestant", "ratings", "seconds", "peak MiB"], lines)
    print()
    rows = [
        (name, f"{v['found']:.2f}", f"{v['target']:.2f}", "yes" if v["reached"] else "no")
        for name, v in found.items()
    ]
    print_table(["ratio or peak", "found", "target", "reached"], rows)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ratings", type=float, default=10, help="millions, from CSV to Parquet")
    parser.add_argument("--load", type=float, default=1, help="millions, into PostgreSQL")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, default=RESULTS / "data.json")
    arguments = parser.parse_args(argv)
    wanted = {"files": arguments.ratings, "loads": arguments.load}
    with tempfile.TemporaryDirectory(prefix="bookrec-benchmark-") as folder:
        files = {name: Path(folder) / f"{name}.csv" for name in wanted}
        sizes = {n: write_ratings(round(m * MILLION), files[n]) for n, m in wanted.items()}
        told = measure(files, arguments.repeats)
    found = verdicts(told)
    show(told, found, sizes)
    measured = {c: {n: asdict(s) for n, s in one.items()} for c, one in told.items()}
    write_results(arguments.out, {"sizes": sizes, "contests": measured, "verdicts": found})


if __name__ == "__main__":
    main()
