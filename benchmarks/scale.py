"""
How time and memory of a fit grow with the ratings: a line through log seconds over log ratings.

    python -m benchmarks.scale --up-to 10
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import psutil
from scipy import stats

from benchmarks.measuring import RESULTS, print_table, run_module, write_results
from benchmarks.synthetic import write
from pipelines.models.factory import model_names

MILLION = 1_000_000
SIZES = (1.0, 3.0, 10.0, 30.0)
"""Millions of ratings."""
SLOPE_TARGET = 1.1
PESSIMISTIC_SLOPE = 1.5
"""For predicting the next size from the last."""
MEMORY_SHARE = 0.8
"""Of what is available: a fit predicted to take more is not tried."""


@dataclass(frozen=True)
class Point:
    """One model at one size; without figures where it was not measured, and why."""

    model: str
    n_ratings: int
    seconds: float | None = None
    peak_mib: float | None = None
    note: str = ""


def measure(model: str, dataset: Path, n: int, last: Point | None, *, limit: float) -> Point:
    """Fit once, unless the last size says that it would take too long or too much memory."""
    reason = reason_to_skip(last, n, limit=limit)
    if reason:
        return Point(model, n, note=reason)
    try:
        told = run_module(
            *("benchmarks.fit_once", "bookrec", model, "--dataset", str(dataset)),
            library="bookrec",
            threads=os.cpu_count() or 1,
            timeout=2 * limit + 60,
        )
    except subprocess.TimeoutExpired:
        return Point(model, n, note=f"stopped after twice the limit of {limit:.0f} s")
    return Point(model, n, told["seconds"], told["peak_mib"])


def reason_to_skip(last: Point | None, n: int, *, limit: float) -> str:
    if last is None:
        return ""
    if last.seconds is None or last.peak_mib is None:
        return "the size before was not measured"
    growth = (n / last.n_ratings) ** PESSIMISTIC_SLOPE
    available = MEMORY_SHARE * psutil.virtual_memory().available / 2**20
    if last.seconds * growth > limit:
        return f"predicted {last.seconds * growth:.0f} s, limit {limit:.0f} s"
    if last.peak_mib * growth > available:
        return f"predicted {last.peak_mib * growth:.0f} MiB, available {available:.0f} MiB"
    return ""


def slope(points: list[Point]) -> tuple[float, float] | None:
    """Slope of the line and half its 95 % interval, infinite through two points; None for one."""
    measured = [(p.n_ratings, p.seconds) for p in points if p.seconds]
    if len(measured) < 2:
        return None
    line = stats.linregress(*np.log(np.array(measured)).T)
    degrees = len(measured) - 2
    half = line.stderr * stats.t.ppf(0.975, degrees) if degrees else np.inf
    return float(line.slope), float(half)


def show(points: list[Point]) -> None:
    lines = [
        (
            p.model,
            f"{p.n_ratings:,}",
            "" if p.seconds is None else f"{p.seconds:.2f}",
            "" if p.peak_mib is None else f"{p.peak_mib:.0f}",
            p.note,
        )
        for p in points
    ]
    print_table(["model", "ratings", "seconds", "peak MiB", "note"], lines)
    print(f"\nslope of log seconds over log ratings, target at most {SLOPE_TARGET}")
    for model in dict.fromkeys(p.model for p in points):
        fitted = slope([p for p in points if p.model == model])
        if fitted is None:
            print(f"  {model:22} too few sizes")
            continue
        verdict = "reached" if fitted[0] <= SLOPE_TARGET else "not reached"
        print(f"  {model:22} {fitted[0]:.2f} ± {fitted[1]:.2f}  {verdict}")


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--up-to", type=float, default=SIZES[-1], help="millions of ratings")
    parser.add_argument("--sizes", type=float, nargs="+", default=SIZES, help="in millions")
    parser.add_argument("--limit", type=float, default=1800, help="seconds for one fit")
    parser.add_argument("--models", nargs="+", default=model_names(), choices=model_names())
    parser.add_argument("--out", type=Path, default=RESULTS / "scale.json")
    arguments = parser.parse_args(argv)
    points: list[Point] = []
    last: dict[str, Point] = {}
    for size in sorted(s for s in arguments.sizes if s <= arguments.up_to):
        with tempfile.TemporaryDirectory(prefix="bookrec-benchmark-") as folder:
            n = write(round(size * MILLION), Path(folder) / "dataset")
            for model in arguments.models:
                found = measure(
                    model, Path(folder) / "dataset", n, last.get(model), limit=arguments.limit
                )
                print(found, file=sys.stderr)
                points.append(found)
                last[model] = found
    points.sort(key=lambda p: (arguments.models.index(p.model), p.n_ratings))
    show(points)
    slopes = {m: slope([p for p in points if p.model == m]) for m in arguments.models}
    write_results(arguments.out, {"points": [asdict(p) for p in points], "slopes": slopes})


if __name__ == "__main__":
    main()
