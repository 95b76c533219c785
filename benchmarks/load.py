"""Load from `wrk` on one server, and what it costs the server."""

import json
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from pipelines.errors import ConfigurationError

SCRIPT = """
local paths, n = {}, 0
for line in io.lines("PATHS") do n = n + 1; paths[n] = line end
local at = 0
request = function()
  at = at % n + 1
  return wrk.format("GET", paths[at])
end
done = function(summary, latency)
  io.write(string.format(
    '\\nRESULT {"requests": %d, "microseconds": %d, "failed": %d, "p50": %d, "p99": %d}\\n',
    summary.requests, summary.duration,
    summary.errors.connect + summary.errors.read + summary.errors.write
      + summary.errors.status + summary.errors.timeout,
    latency:percentile(50), latency:percentile(99)))
end
"""


@dataclass(frozen=True)
class Load:
    """What one server did under load; latencies in milliseconds."""

    requests_per_second: float
    cpu_microseconds: float
    """Of all its processes, for each request."""
    p50: float
    p99: float
    failed: int


def load(
    url: str, paths: Sequence[str], server: psutil.Process, *, seconds: float, connections: int = 32
) -> Load:
    """
    Ask for the paths in turn, on so many connections, for so long.

    Raises:
        ConfigurationError: `wrk` is not installed.
    """
    if shutil.which("wrk") is None:
        raise ConfigurationError("wrk is not installed: apt-get install wrk")
    with tempfile.TemporaryDirectory(prefix="bookrec-benchmark-") as folder:
        (Path(folder) / "paths").write_text("\n".join(paths) + "\n")
        script = Path(folder) / "load.lua"
        script.write_text(SCRIPT.replace("PATHS", str(Path(folder) / "paths")))
        command = ["wrk", "-t", "1", "-c", str(connections), "-d", f"{seconds:.0f}s"]
        before = _cpu_seconds(server)
        told = subprocess.run(
            [*command, "-s", str(script), url], capture_output=True, text=True, check=True
        )
        spent = _cpu_seconds(server) - before
    result = json.loads(told.stdout.rpartition("RESULT ")[2])
    requests = max(result["requests"], 1)
    return Load(
        requests_per_second=requests / result["microseconds"] * 1e6,
        cpu_microseconds=spent / requests * 1e6,
        p50=result["p50"] / 1000,
        p99=result["p99"] / 1000,
        failed=result["failed"],
    )


def _cpu_seconds(server: psutil.Process) -> float:
    total = 0.0
    for process in [server, *server.children(recursive=True)]:
        times = process.cpu_times()
        total += times.user + times.system
    return total
