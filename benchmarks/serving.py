"""
The service under load, beside a bare FastAPI and a raw ASGI no-op: requests per second and CPU.

    python -m benchmarks.serving --books 10000
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil
from pydantic import SecretStr

from benchmarks.load import Load, load
from benchmarks.measuring import RESULTS, Spread, print_table, write_results
from benchmarks.served_model import bundle_of, registered
from pipelines.maintenance.expired import size_of
from pipelines.processes import running
from pipelines.settings import Settings
from pipelines.stack import Program, api_program, free_port

BASE = "FastAPI no-op"
N_READERS = 200
"""Asked for in turn: all fit into every cache, and come round before they are too old for it."""
BATCH = 1_000
BATCH_ROUNDS: Mapping[str, int] = {"Redis": 9, "computed": 3}
"""Where the lists of both ways come from, and how often each way is gone."""
SETTLING_SECONDS = 5.0
"""Longer than a worker takes to start."""
NO_LOCAL_CACHE = {"BOOKREC_CACHE__LOCAL_BYTES": "0"}
VARIANTS: Mapping[str, Mapping[str, str]] = {
    "local cache": {},
    "Redis": NO_LOCAL_CACHE,
    "computed": NO_LOCAL_CACHE | {"BOOKREC_REDIS_URL": ""},
}


def no_op(name: str, app: str) -> Program:
    """A no-op on uvicorn, one worker, with uvloop and httptools as BentoML has them."""
    port = free_port()
    argv = [sys.executable, "-m", "uvicorn", f"benchmarks.no_op:{app}", "--port", str(port)]
    argv += ["--no-access-log", "--log-level", "warning"]
    return Program(name, argv, {}, f"http://127.0.0.1:{port}", f"http://127.0.0.1:{port}/health")


def service(settings: Settings, name: str, env: Mapping[str, str]) -> Program:
    """Our service in one worker, everything on, under a name of its own."""
    settings = settings.model_copy(
        update={"home": settings.home, "redis_url": settings.redis_url or SecretStr("")}
    )
    made = api_program(settings, port=free_port())
    folder = str(settings.home / "bentoml" / name.replace(" ", "-"))
    return Program(name, made.argv, {**made.env, "BENTOML_HOME": folder, **env},
                   made.address.removesuffix("/docs"),
                   made.address.removesuffix("/docs") + "/readyz")  # fmt: skip


@contextmanager
def served(program: Program) -> Iterator[psutil.Process]:
    """The process of a program that answers."""
    before = {p.pid for p in psutil.Process().children()}
    with running(program, log_folder=Path(tempfile.gettempdir()) / "bookrec-benchmark") as ready:
        ready()
        (started,) = {p.pid for p in psutil.Process().children()} - before
        yield psutil.Process(started)


def paths_of(n_readers: int, count: int, *, seed: int) -> list[str]:
    """One request for each of some readers; of all where there are no more."""
    chosen = np.random.default_rng(seed).permutation(n_readers)[:count]
    return [f"/api/v1/users/{user}/recommendations?n=10" for user in chosen]


def warmed(program: Program, paths: Sequence[str]) -> None:
    """Each path once, so that what can be cached is."""
    with httpx.Client(base_url=program.address or "", timeout=30) as client:
        for path in paths:
            client.get(path).raise_for_status()


@dataclass(frozen=True)
class Found:
    """What each program did, round by round, in the order of the programs."""

    full: Mapping[str, Sequence[Load]]
    """On as many requests as it can answer."""
    half: Mapping[str, Sequence[Load]]
    """On half as many."""


def measure(
    programs: Sequence[Program], paths: Sequence[str], *, rounds: int, seconds: float
) -> Found:
    """Each program under load in turn, and that several times over; all of them run meanwhile."""
    full: dict[str, list[Load]] = {program.name: [] for program in programs}
    half: dict[str, list[Load]] = {program.name: [] for program in programs}
    with ExitStack() as stack:
        processes = {p.name: stack.enter_context(served(p)) for p in programs}
        for program in programs:
            warmed(program, paths)
        for _ in range(rounds):
            for program in programs:
                ask = partial(
                    load, program.address or "", paths, [processes[program.name]], seconds=seconds
                )
                full[program.name].append(told := ask())
                half[program.name].append(ask(pause=told.pause_for_half))
    return Found(full, half)


def batch_ratio(program: Program, paths: Sequence[str], rounds: int) -> list[float]:
    """How many times longer single requests take than one for as many readers, once warm."""
    users = [path.split("/")[4] for path in paths]
    ratios = []
    with served(program), httpx.Client(base_url=program.address or "", timeout=120) as client:
        warmed(program, paths)
        for _ in range(rounds):
            started = time.perf_counter()
            for path in paths:
                client.get(path).raise_for_status()
            single = time.perf_counter() - started
            started = time.perf_counter()
            body = {"user_ids": users, "n": 10}
            client.post("/api/v1/recommendations/batch", json=body).raise_for_status()
            ratios.append(single / (time.perf_counter() - started))
    return ratios


def cold_start(program: Program) -> float:
    """Seconds from nothing until it is ready, which it is with a model only."""
    started = time.perf_counter()
    with served(program):
        return time.perf_counter() - started


def second_worker(settings: Settings, paths: Sequence[str]) -> int:
    """Bytes by which the service grows with a second worker; what both share counts once."""
    grown = []
    for workers in (1, 2):
        env = {**VARIANTS["computed"], "BOOKREC_API__WORKERS": str(workers)}
        program = service(settings, f"{workers}-workers", env)
        with served(program) as process:
            grown.append(settled_bytes(process, program, paths))
    return grown[1] - grown[0]


def settled_bytes(process: psutil.Process, program: Program, paths: Sequence[str]) -> int:
    """What a program and all it started hold, once every worker has answered for a while."""
    fresh = httpx.Limits(max_keepalive_connections=0)  # any worker may take the next
    before = 0
    with httpx.Client(base_url=program.address or "", limits=fresh, timeout=30) as client:
        while True:
            for path in paths:
                client.get(path)  # a worker that is just starting has no model yet
            tree = [process, *process.children(recursive=True)]
            held = sum(each.memory_full_info().pss for each in tree)
            if abs(held - before) < held / 100:
                return held
            before = held
            time.sleep(SETTLING_SECONDS)


def report(found: Found) -> dict[str, Any]:
    """A table of medians, and ratios of requests per second and of CPU within a round."""
    rows, told = [], {}
    for name, loads in found.full.items():
        pairs = list(zip(loads, found.full[BASE], strict=True))
        speed = Spread.of([a.requests_per_second / b.requests_per_second for a, b in pairs])
        cpu = Spread.of([a.cpu_microseconds / b.cpu_microseconds for a, b in pairs])
        halves = found.half[name]
        rate, spent, tail, half_tail = (
            Spread.of(values).median
            for values in (
                [each.requests_per_second for each in loads],
                [each.cpu_microseconds for each in loads],
                [each.p99 / each.p50 for each in loads],
                [each.p99 / each.p50 for each in halves],
            )
        )
        failed = sum(each.failed for each in (*loads, *halves))
        tails = f"{tail:.1f}", f"{half_tail:.1f}"
        rows.append(
            [name, f"{rate:,.0f}", str(speed), f"{spent:.0f}", str(cpu), *tails, str(failed)]
        )
        told[name] = {
            "speed": asdict(speed),
            "cpu": asdict(cpu),
            "loads": [*map(asdict, loads)],
            "half_loads": [*map(asdict, halves)],
        }
    header = ["", "requests/s", "ratio", "CPU µs", "ratio", "p99/p50", "at half load", "failed"]
    print_table(header, rows)
    return told


def asked_for(description: str | None, name: str, argv: Sequence[str] | None) -> argparse.Namespace:
    """What the command line asks of a benchmark that loads the service."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--books", type=int, default=10_000)
    parser.add_argument("--ratings", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args(argv)
    arguments.out = arguments.out or RESULTS / f"{name}-{arguments.books}.json"
    return arguments


def main(argv: Sequence[str] | None = None) -> None:
    arguments = asked_for(__doc__, "serving", argv)
    bundle = bundle_of(arguments.books, arguments.ratings)
    paths = paths_of(len(bundle.users), N_READERS, seed=0)
    readers = paths_of(len(bundle.users), BATCH, seed=0)
    with registered(bundle) as settings:
        programs = [no_op("raw ASGI no-op", "raw"), no_op(BASE, "fast")]
        programs += [service(settings, name, env) for name, env in VARIANTS.items()]
        found = measure(programs, paths, rounds=arguments.rounds, seconds=arguments.seconds)
        print(f"{arguments.books:,} books, {len(bundle.users):,} readers, one worker each\n")
        told = report(found)
        ratios = {
            name: batch_ratio(service(settings, f"batch-{name}", VARIANTS[name]), readers, rounds)
            for name, rounds in BATCH_ROUNDS.items()
        }
        size, grown = size_of(settings.home / "bundle"), second_worker(settings, paths)
        starts = [cold_start(service(settings, f"start-{n}", {})) for n in range(arguments.rounds)]
    print(f"\n{len(readers):,} readers in one request, times faster than one by one:")
    for name, told_ratios in ratios.items():
        print(f"  {name}: {Spread.of(told_ratios)}")
    held, model = f"{grown / 2**20:.0f} MiB", f"{size / 2**20:.0f} MiB"
    print(f"A second worker takes {held}, its interpreter included; the model has {model}")
    print(f"Ready {Spread.of(starts)} s after its start")
    write_results(
        arguments.out,
        {
            "servers": told,
            "batch_ratios": ratios,
            "model": size,
            "second_worker": grown,
            "cold_start_seconds": starts,
        },
    )


if __name__ == "__main__":
    main()
