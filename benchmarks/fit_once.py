"""
Fit one model once, in this process: seconds, and how far memory rose above what the data held.

    python -m benchmarks.fit_once bookrec item_knn --dataset FOLDER --out out.json
    benchmarks/peers/.venv/bin/python -m benchmarks.fit_once peer "LensKit EASE" --dataset …
"""

import argparse
import ctypes
import gc
import json
import resource
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil
import pyarrow as pa
from scipy import sparse

from pipelines.data.dataset import Dataset
from pipelines.data.interactions import Interactions, TrainingData
from pipelines.data.splits import Part

Fit = Callable[[], object]
Config = dict[str, Any]

WARM_UP_READERS, WARM_UP_BOOKS = 60, 40


def ours(name: str, config: Config, data: TrainingData, seed: int) -> Fit:
    from pipelines.models.factory import create

    return lambda: create(name, **config).fit(data, rng=np.random.default_rng(seed))


def peers(name: str, config: Config, data: TrainingData, seed: int) -> Fit:
    from benchmarks.peers.catalogue import models

    peer = models()[name](**config)
    peer.prepare(sparse.csr_matrix(data.interactions.liked))
    return lambda: peer.fit(seed=seed)


def measured(fit: Fit) -> dict[str, float]:
    """Wall and CPU seconds, and the highest resident memory above that at the start, in MiB."""
    give_back_memory()
    before = psutil.Process().memory_info().rss
    started, cpu_started = time.perf_counter(), time.process_time()
    fit()
    return {
        "seconds": time.perf_counter() - started,
        "cpu_seconds": time.process_time() - cpu_started,
        "peak_mib": max(0.0, (peak_bytes() - before) / 2**20),
    }


def give_back_memory() -> None:
    """Or a fit would be served from what the loading left behind, and seem to need none."""
    gc.collect()
    pa.default_memory_pool().release_unused()
    with suppress(OSError, AttributeError):  # glibc alone has it
        ctypes.CDLL(None).malloc_trim(0)
    with suppress(OSError):  # on Linux this also forgets the highest so far
        Path("/proc/self/clear_refs").write_text("5")


def peak_bytes() -> int:
    """Not ru_maxrss on Linux, where a process starts with the peak of the one that started it."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(x for x in status.read_text().splitlines() if x.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _checkerboard(books: pd.DataFrame) -> TrainingData:
    """So small a matrix that fitting it only does the imports and starts the thread pools."""
    matrix = np.indices((WARM_UP_READERS, len(books))).sum(axis=0) % 2
    return TrainingData(Interactions(sparse.csr_array(matrix.astype(np.float32))), books)


def _load(folder: Path, parts: list[int]) -> TrainingData:
    data = Dataset.load(folder).training_data(*map(Part, parts))
    data.interactions.liked  # noqa: B018 - both sides start from this matrix
    return data


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("library", choices=("bookrec", "peer"))
    parser.add_argument("model")
    parser.add_argument("--dataset", type=Path, required=True)
    parser.add_argument("--parts", type=int, nargs="+", default=[0])
    parser.add_argument("--config", type=json.loads, default={})
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    prepare = ours if arguments.library == "bookrec" else peers
    data = _load(arguments.dataset, arguments.parts)
    prepare(
        arguments.model, arguments.config, _checkerboard(data.books[:WARM_UP_BOOKS]), arguments.seed
    )()
    fit = prepare(arguments.model, arguments.config, data, arguments.seed)
    arguments.out.write_text(json.dumps(measured(fit)))


if __name__ == "__main__":
    main()
