"""
A whole run with and without Airflow, each in a fresh home: wall time and peak memory.

    python -m benchmarks.pipeline_run --source goodbooks-10k --data path/to/goodbooks-10k
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import psutil


@dataclass(frozen=True)
class Measured:
    """One run: wall seconds, and the most memory that the process and its children held at once."""

    seconds: float
    peak_gib: float


def measure(command: list[str], home: Path) -> Measured:
    """Run a command in a fresh home, sampling the memory of its process tree every 0.1 s."""
    started = time.perf_counter()
    process = psutil.Popen(
        command, env={**os.environ, "BOOKREC_HOME": str(home)}, stdout=sys.stderr
    )
    peak = 0
    while process.poll() is None:
        peak = max(peak, _resident(process))
        time.sleep(0.1)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return Measured(time.perf_counter() - started, peak / 2**30)


def _resident(process: psutil.Process) -> int:
    total = 0
    for member in [process, *process.children(recursive=True)]:
        try:
            total += member.memory_info().rss
        except psutil.Error:
            continue  # it has ended between the listing and the look
    return total


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", default="sample")
    parser.add_argument("--data")
    arguments = parser.parse_args()
    options = ["--source", arguments.source]
    options += ["--data", arguments.data] if arguments.data else []
    commands = {
        "without Airflow": [str(Path(sys.executable).parent / "bookrec"), "run", *options],
        "through Airflow": [sys.executable, "-m", "dags.local_run", *options],
    }
    with tempfile.TemporaryDirectory(prefix="bookrec-benchmark-") as folder:
        results = {n: measure(c, Path(folder) / n.replace(" ", "-")) for n, c in commands.items()}
    print(f"{'':18}{'seconds':>9}{'peak GiB':>10}")
    for name, result in results.items():
        print(f"{name:18}{result.seconds:9.1f}{result.peak_gib:10.2f}")
    ratio = results["through Airflow"].seconds / results["without Airflow"].seconds
    print(
        f"ratio of the seconds: {ratio:.2f} (the run through Airflow also starts and warms the API)"
    )


if __name__ == "__main__":
    main()
