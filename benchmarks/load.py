"""Load from `wrk` on servers, and what it costs them and `wrk` itself."""

import json
import resource
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
delay = function() return math.random(0, PAUSE) end
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
    driver_microseconds: float
    """Of `wrk`, for each request."""
    p50: float
    p99: float
    failed: int
    connections: int

    @property
    def pause_for_half(self) -> float:
        """Milliseconds that each connection has to wait after an answer, to ask half as often."""
        return 2 * self.connections / self.requests_per_second * 1000


def load(
    url: str,
    paths: Sequence[str],
    servers: Sequence[psutil.Process],
    *,
    seconds: float,
    connections: int = 32,
    pause: float = 0,
) -> Load:
    """
    Ask for the paths in turn, on so many connections, for so long.

    Each connection waits after an answer, for anything up to twice `pause` milliseconds.

    Raises:
        ConfigurationError: `wrk` is not installed.
    """
    if shutil.which("wrk") is None:
        raise ConfigurationError("wrk is not installed: apt-get install wrk")
    with tempfile.TemporaryDirectory(prefix="bookrec-benchmark-") as folder:
        (Path(folder) / "paths").write_text("\n".join(paths) + "\n")
        script = Path(folder) / "load.lua"
        filled = SCRIPT.replace("PATHS", str(Path(folder) / "paths"))
        script.write_text(filled.replace("PAUSE", f"{2 * pause:.0f}"))
        command = ["wrk", "-t", "1", "-c", str(connections), "-d", f"{seconds:.0f}s"]
        before, own_before = _cpu_seconds(servers), _cpu_of_children()
        told = subprocess.run(
            [*command, "-s", str(script), url], capture_output=True, text=True, check=True
        )
        spent, own = _cpu_seconds(servers) - before, _cpu_of_children() - own_before
    result = json.loads(told.stdout.rpartition("RESULT ")[2])
    requests = max(result["requests"], 1)
    return Load(
        requests_per_second=requests / result["microseconds"] * 1e6,
        cpu_microseconds=spent / requests * 1e6,
        driver_microseconds=own / requests * 1e6,
        p50=result["p50"] / 1000,
        p99=result["p99"] / 1000,
        failed=result["failed"],
        connections=connections,
    )


def _cpu_seconds(servers: Sequence[psutil.Process]) -> float:
    total = 0.0
    for server in servers:
        for process in [server, *server.children(recursive=True)]:
            times = process.cpu_times()
            total += times.user + times.system
    return total


def _cpu_of_children() -> float:
    """Of those that have ended."""
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime
