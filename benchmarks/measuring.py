"""What the benchmarks share: fresh processes, threads, the machine, tables and result files."""

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).parent / "results"
PEERS_PYTHON = Path(__file__).parent / "peers" / ".venv" / "bin" / "python"

POOLS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS")
LENSKIT_POOLS = ("LK_NUM_THREADS", "LK_NUM_BACKEND_THREADS")


def peers_python() -> str:
    """The interpreter that has LensKit, or this one where it is not installed."""
    return str(PEERS_PYTHON) if PEERS_PYTHON.exists() else sys.executable


def threads_environment(threads: int, library: str) -> dict[str, str]:
    """Variables that hold a library and all it calls to so many threads."""
    variables = dict.fromkeys((*POOLS, *LENSKIT_POOLS), str(threads)) | {"LK_NUM_PROCS": "1"}
    if library == "implicit":  # it asks for this itself, and is slower without
        variables["OPENBLAS_NUM_THREADS"] = "1"
    return variables


def run_module(
    module: str,
    *arguments: str,
    library: str,
    threads: int,
    timeout: float | None = None,
) -> Any:
    """
    Run a module in a fresh process; what it writes to the file named by --out is returned.

    Raises:
        subprocess.CalledProcessError: it failed; what it said is on stderr.
        subprocess.TimeoutExpired: it took longer than `timeout` seconds.
    """
    python = sys.executable if library == "bookrec" else peers_python()
    with tempfile.TemporaryDirectory(prefix="bookrec-benchmark-") as folder:
        out = Path(folder) / "out.json"
        subprocess.run(
            [python, "-m", module, *arguments, "--out", str(out)],
            env={**os.environ, **threads_environment(threads, library)},
            preexec_fn=lambda: _stay_on(threads),
            cwd=ROOT,
            stdout=2,  # libraries that talk would spoil the tables
            check=True,
            timeout=timeout,
        )
        return json.loads(out.read_text())


def _stay_on(cores: int) -> None:
    """Not every thread pool has a variable; where the system can, none gets more than these."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])


@dataclass(frozen=True)
class Spread:
    """The median of several measurements, and the smallest and largest of them."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        return cls(statistics.median(values), min(values), max(values))

    def __str__(self) -> str:
        if self.low == self.high:
            return f"{self.median:.2f}"
        return f"{self.median:.2f} ({self.low:.2f}-{self.high:.2f})"


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Columns as wide as what stands in them; the first is flush left."""
    widths = [max(len(row[i]) for row in (header, *rows)) for i in range(len(header))]
    for row in (header, *rows):
        cells = [
            row[0].ljust(widths[0]),
            *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True)),
        ]
        print("  ".join(cells).rstrip())


def write_results(path: Path, results: dict[str, Any]) -> None:
    """The results with when and on what they were measured."""
    path.parent.mkdir(parents=True, exist_ok=True)
    measured = {"measured_at": datetime.now(UTC).isoformat(), "machine": _machine()}
    path.write_text(json.dumps(measured | results, indent=1) + "\n")
    print(f"\nwritten to {path}")


def _machine() -> dict[str, Any]:
    return {
        "system": platform.platform(),
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
    }
