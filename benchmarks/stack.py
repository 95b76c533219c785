"""
Two replicas of the service behind Nginx against one alone: requests per second, and their CPU.

    python -m benchmarks.stack --books 10000

Every replica has one worker. How many times more two can do than one is limited by the machine,
since Nginx and `wrk` need its cores too; what they allow follows from the CPU that a request takes.
"""

import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil

from benchmarks.load import Load, load
from benchmarks.measuring import Spread, print_table, write_results
from benchmarks.proxy import proxy_before
from benchmarks.served_model import bundle_of, registered
from benchmarks.serving import N_READERS, VARIANTS, asked_for, paths_of, served, service, warmed
from pipelines.settings import Settings
from pipelines.stack import Program

ALONE, ONE, TWO = "one alone", "one behind Nginx", "two behind Nginx"
UNLIMITED = {"rate=100r/s": "rate=1000000r/s", "burst=200": "burst=1000000"}
"""All of the load comes from one address, which Nginx would soon refuse."""
SHOWN = ("computed", "local cache")


def replica(settings: Settings, name: str, env: Mapping[str, str]) -> Program:
    """One with a home of its own, as on a machine of its own, which answers anybody."""
    own = {
        "BOOKREC_HOME": str(settings.home / name.replace(" ", "-")),
        "BOOKREC_SECURITY__OPEN_TO_ANYONE": "true",  # Nginx's callers are not local
        "BOOKREC_SECURITY__RATE_LIMITS__ANONYMOUS": "10000000/minute",
    }
    return service(settings, name, own | dict(env))


@contextmanager
def proxied(*replicas: Program) -> Iterator[tuple[str, psutil.Process]]:
    """The address and the process of an Nginx before these."""
    hosts = [str(replica.address).removeprefix("http://") for replica in replicas]
    sets = {"blue": [hosts[0], hosts[-1]], "green": [hosts[0], hosts[-1]]}
    before = {child.pid for child in psutil.Process().children()}
    with (
        tempfile.TemporaryDirectory(prefix="bookrec-benchmark-") as folder,
        proxy_before(Path(folder), sets, changes=UNLIMITED) as proxy,
    ):
        (started,) = {child.pid for child in psutil.Process().children()} - before
        yield proxy.inside, psutil.Process(started)


def measure(
    replicas: Sequence[Program], paths: Sequence[str], *, rounds: int, seconds: float
) -> dict[str, list[Load]]:
    """Each way in turn, and that several times over; everything runs meanwhile."""
    found: dict[str, list[Load]] = {name: [] for name in (ALONE, ONE, TWO)}
    with ExitStack() as stack:
        first, second = (stack.enter_context(served(replica)) for replica in replicas)
        for each in replicas:
            warmed(each, paths)
        one, before_one = stack.enter_context(proxied(replicas[0]))
        two, before_two = stack.enter_context(proxied(*replicas))
        ways = {
            ALONE: (str(replicas[0].address), [first]),
            ONE: (one, [first, before_one]),
            TWO: (two, [first, second, before_two]),
        }
        for _ in range(rounds):
            for name, (url, processes) in ways.items():
                found[name].append(load(url, paths, processes, seconds=seconds))
    return found


def report(found: Mapping[str, Sequence[Load]]) -> dict[str, Any]:
    """A table of medians, ratios to one alone within a round, and the ratio that cores allow."""
    rows, told = [], {}
    for name, loads in found.items():
        pairs = list(zip(loads, found[ALONE], strict=True))
        speed = Spread.of([a.requests_per_second / b.requests_per_second for a, b in pairs])
        allowed = Spread.of([_allowed(a, b) for a, b in pairs])
        rate, spent, driver = (
            Spread.of(values).median
            for values in (
                [each.requests_per_second for each in loads],
                [each.cpu_microseconds for each in loads],
                [each.driver_microseconds for each in loads],
            )
        )
        failed = sum(each.failed for each in loads)
        rows.append(
            [
                name,
                f"{rate:,.0f}",
                str(speed),
                f"{spent:.0f}",
                f"{driver:.0f}",
                str(allowed),
                str(failed),
            ]
        )
        told[name] = {
            "speed": asdict(speed),
            "allowed": asdict(allowed),
            "loads": [*map(asdict, loads)],
        }
    print_table(["", "requests/s", "ratio", "CPU µs", "wrk µs", "cores allow", "failed"], rows)
    return told


def _allowed(seen: Load, alone: Load) -> float:
    """The ratio if cores did nothing but this; a replica uses one, and there are two."""
    cores = psutil.cpu_count() or 1
    most = cores / (seen.cpu_microseconds + seen.driver_microseconds)
    most_alone = cores / (alone.cpu_microseconds + alone.driver_microseconds)
    return min(2.0, most / min(1 / alone.cpu_microseconds, most_alone))


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print, and write down."""
    arguments = asked_for(__doc__, "stack", argv)
    bundle = bundle_of(arguments.books, arguments.ratings)
    paths = paths_of(len(bundle.users), N_READERS, seed=0)
    told, failed = {}, 0
    with registered(bundle) as settings:
        for variant in SHOWN:
            replicas = [replica(settings, f"{variant} {n}", VARIANTS[variant]) for n in (1, 2)]
            found = measure(replicas, paths, rounds=arguments.rounds, seconds=arguments.seconds)
            print(f"\n{variant}, {arguments.books:,} books, {psutil.cpu_count()} cores\n")
            told[variant] = report(found)
            failed += sum(each.failed for loads in found.values() for each in loads)
    write_results(arguments.out, told)
    if failed:
        sys.exit("requests failed: the ratios above mean nothing")


if __name__ == "__main__":
    main()
