"""
Time and memory of a fit, ours and the peers' in turns, on one matrix.

    python -m benchmarks.training --data path/to/goodbooks-10k
"""

import argparse
import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.measuring import (
    PEERS_PYTHON,
    RESULTS,
    Spread,
    print_table,
    run_module,
    write_results,
)
from benchmarks.runs import prepared_dataset, temporary_run
from benchmarks.synthetic import write
from pipelines.models.factory import model_names

Config = dict[str, Any]


@dataclass(frozen=True)
class Contest:
    """Configurations that ask the same work of our model and of its peers."""

    ours: Config
    peers: dict[str, Config]


CONTESTS = {
    "popularity": Contest({}, {"LensKit popularity": {}}),
    "item_knn": Contest(
        {"k_neighbors": 100},
        {
            "implicit Cosine": {"K": 100},
            "LensKit ItemKNN": {"max_nbrs": 100, "save_nbrs": 100},
        },
    ),
    "matrix_factorization": Contest(
        {"embedding_size": 64, "iterations": 10},
        {
            "implicit ALS": {"factors": 64, "iterations": 10, "alpha": 2, "regularization": 1},
            "LensKit ImplicitMF": {"embedding_size": 64, "epochs": 10},
        },
    ),
    "ease": Contest(
        dict.fromkeys(("authors", "series", "genres", "title", "description"), 0),
        {"LensKit EASE": {"regularization": 100}},
    ),
    "user_knn": Contest({}, {"LensKit UserKNN": {}}),
}
"""A model that is not named here has no peer and is measured alone, with its defaults."""


FIGURES = ("seconds", "cpu_seconds", "peak_mib")


@dataclass(frozen=True)
class Row:
    """One contestant's fits."""

    model: str
    contestant: str
    threads: int
    seconds: Spread
    cpu_seconds: Spread
    """Of all threads together; hardly moved by what else the machine does."""
    peak_mib: Spread


def contest(name: str, dataset: Path, *, threads: int, repeats: int) -> list[Row]:
    """Rows of ours and of each peer, measured in turns so that a busy minute hits all alike."""
    found = CONTESTS.get(name, Contest({}, {}))
    measured: dict[str, list[dict[str, float]]] = {}
    for _ in range(repeats):
        for contestant, config in {"bookrec": found.ours, **found.peers}.items():
            if contestant.startswith("LensKit") and not PEERS_PYTHON.exists():
                continue
            told = _fit_once(name, contestant, config, dataset, threads)
            measured.setdefault(contestant, []).append(told)
    return [
        Row(name, contestant, threads, **{f: Spread.of([fit[f] for fit in fits]) for f in FIGURES})
        for contestant, fits in measured.items()
    ]


def _fit_once(
    name: str, contestant: str, config: Config, dataset: Path, threads: int
) -> dict[str, float]:
    is_ours = contestant == "bookrec"
    who = ("bookrec", name) if is_ours else ("peer", contestant)
    options = ["--dataset", str(dataset), "--config", json.dumps(config)]
    library = contestant.split()[0]
    return run_module("benchmarks.fit_once", *who, *options, library=library, threads=threads)


def show(rows: list[Row]) -> None:
    ours = {(r.model, r.threads): r for r in rows if r.contestant == "bookrec"}
    lines = []
    for row in rows:
        own = ours[row.model, row.threads]
        figures = [getattr(row, figure) for figure in FIGURES]
        ratios = [_ratio(getattr(own, figure), getattr(row, figure)) for figure in FIGURES]
        told = [str(row.threads), *map(str, figures), *([""] * 3 if row is own else ratios)]
        lines.append([row.model, row.contestant, *told])
    header = ["model", "whose", "threads", "seconds", "CPU seconds", "peak MiB"]
    print_table([*header, "ours/theirs: s", "CPU s", "MiB"], lines)


def _ratio(ours: Spread, theirs: Spread) -> str:
    return f"{ours.median / theirs.median:.2f}" if theirs.median else ""


@contextmanager
def matrix(data: Path | None, n_ratings: int) -> Iterator[Path]:
    """The folder of goodbooks-10k prepared as for training, or of invented readers."""
    if data:
        with temporary_run("goodbooks-10k", data) as ctx:
            yield prepared_dataset(ctx)
        return
    with tempfile.TemporaryDirectory(prefix="bookrec-benchmark-") as folder:
        write(n_ratings, Path(folder) / "dataset")
        yield Path(folder) / "dataset"


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="folder of goodbooks-10k, else invented readers")
    parser.add_argument("--ratings", type=int, default=300_000, help="of invented readers")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, os.cpu_count() or 1])
    parser.add_argument("--models", nargs="+", default=model_names(), choices=model_names())
    parser.add_argument("--out", type=Path, default=RESULTS / "training.json")
    arguments = parser.parse_args(argv)
    rows: list[Row] = []
    with matrix(arguments.data, arguments.ratings) as dataset:
        for name in arguments.models:
            for threads in dict.fromkeys(arguments.threads):
                rows += contest(name, dataset, threads=threads, repeats=arguments.repeats)
    show(rows)
    source = "goodbooks-10k" if arguments.data else f"{arguments.ratings} synthetic ratings"
    write_results(arguments.out, {"source": source, "rows": [asdict(row) for row in rows]})


if __name__ == "__main__":
    main()
