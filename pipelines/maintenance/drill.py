"""
`make drill`: lose the database and the models of a local stack, and get them back.

In a home of its own, which goes afterwards: a model is trained and served, answers are written
down, a backup is made; then PostgreSQL is killed, and its data and the artifact root are removed.
The backup is restored by the command that a person would use, another service is started with an
empty cache, and its answers are compared with those from before, byte for byte.
"""

import argparse
import json
import logging
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import redis
from rich.console import Console
from sqlalchemy import select

from pipelines.data.sources.locations import absolute
from pipelines.errors import BookrecError, StorageError
from pipelines.observability import configure_logging
from pipelines.processes import running, stop_on_sigterm
from pipelines.progress import report_stage
from pipelines.run_params import RunParams
from pipelines.settings import PREFIX, Settings
from pipelines.stack import api_program, free_port, script
from pipelines.stages.pipeline import Progress, run_pipeline
from pipelines.stages.run_context import RunContext
from pipelines.storage.artifacts import new_run_id
from pipelines.storage.local.place import find_place, local_settings
from pipelines.storage.local.postgres import PostgresServer
from pipelines.storage.services import running_services
from pipelines.storage.tables import RatingRow
from pipelines.storage.unit_of_work import unit_of_work

READERS = 10
_DRAWN = re.compile(rb'"recommendation_id":"[0-9a-f-]{36}"')
"""Of each answer its own id is drawn by chance; everything else has to be the same."""
Answers = dict[str, bytes]


@dataclass(frozen=True)
class Outcome:
    """
    What a drill has shown.

    Attributes:
        answers: How many were compared.
        different: The paths of those that are not as they were.
        went_on: How many lists the old service still gave while everything was gone.
        recovery_seconds: From the destruction until the new service had given the last answer.
        lost_seconds: From the backup until it was restored: what was written then is lost.
    """

    answers: int
    different: tuple[str, ...]
    went_on: int
    recovery_seconds: float
    lost_seconds: float


def drill(settings: Settings, params: RunParams, console: Console) -> Outcome:
    """
    Train, back up, destroy, restore and compare, in the home that settings name.

    Raises:
        BookrecError: a step failed.
    """
    with running_services(settings) as prepared:
        console.print(f"Training on {params.dataset} …")
        run_pipeline(RunContext(new_run_id(), params, prepared), _reporting(console))
        readers = _readers(prepared)
        with _served(prepared) as client:
            before = _answers(client, readers)
            console.print(f"{len(before)} answers written down. Backing up …")
            _bookrec(settings, "backup")
            console.print("Destroying the database and the artifact root …")
            _destroy(prepared)
            began = time.perf_counter()
            went_on = sum(client.get(path).is_success for path in _lists(readers))
        console.print("Restoring …")
        told = _bookrec(settings, "restore", "latest")
        with running_services(settings) as restored:
            _empty_cache(restored)
            with _served(restored) as client:
                after = _answers(client, readers)
        seconds = time.perf_counter() - began
    different = tuple(path for path, body in before.items() if after[path] != body)
    return Outcome(len(before), different, went_on, seconds, told["lost_seconds"])


def _reporting(console: Console) -> Progress:
    def report(address: str, summary: dict[str, Any], seconds: float, reused: bool) -> None:
        report_stage(console, address, summary, seconds, reused=reused)

    return report


def _readers(settings: Settings) -> list[str]:
    ids = select(RatingRow.user_id).distinct().order_by(RatingRow.user_id).limit(READERS)
    with unit_of_work(settings.known_database_url) as session:
        return list(session.scalars(ids))


@contextmanager
def _served(settings: Settings) -> Iterator[httpx.Client]:
    port = free_port()
    api = settings.api.model_copy(update={"host": "127.0.0.1", "port": port, "base_url": None})
    program = api_program(settings.model_copy(update={"api": api}))
    program = replace(program, health=f"{api.url}/readyz")
    with running(program, log_folder=settings.home / "logs") as wait_until_ready:
        wait_until_ready()
        with httpx.Client(base_url=api.url, headers=api.admin_headers, timeout=30) as client:
            yield client


def _answers(client: httpx.Client, readers: list[str]) -> Answers:
    """What the model says, and what both databases do, by path."""
    paths = [*_lists(readers), *(f"/api/v1/users/{reader}" for reader in readers)]
    paths += ["/api/v1/books/popular?n=50", "/api/v1/models", "/api/v1/models/1"]
    return {path: _asked(client, path) for path in paths}


def _lists(readers: list[str]) -> list[str]:
    return [f"/api/v1/users/{reader}/recommendations?n=20&explain=true" for reader in readers]


def _asked(client: httpx.Client, path: str) -> bytes:
    return _DRAWN.sub(b"", client.get(path).raise_for_status().content)


def _destroy(settings: Settings) -> None:
    place = find_place(settings.home.resolve(), local_settings())
    if place is None:
        raise StorageError(f"{settings.home} has no servers of its own to be destroyed")
    server = PostgresServer(place.folder, place.account, durable=True)
    pid = server.process()
    if pid is None:
        raise StorageError(f"no PostgreSQL runs in {server.folder}")
    os.kill(pid, signal.SIGQUIT)  # at once, without a word to anybody
    while server.process() is not None:
        time.sleep(0.02)
    shutil.rmtree(server.folder)
    shutil.rmtree(settings.artifact_root)


def _empty_cache(settings: Settings) -> None:
    """Else it would answer in the place of the model that was restored."""
    assert settings.redis_url is not None  # noqa: S101 - prepared settings have it
    with redis.Redis.from_url(settings.redis_url.get_secret_value()) as client:
        client.flushall()


def _bookrec(settings: Settings, *words: str) -> dict[str, Any]:
    """As a person would, with nothing but the home to go by."""
    ended = subprocess.run(
        [script("bookrec"), *words, "--json"],
        env={**_bare(os.environ), f"{PREFIX}HOME": str(settings.home)},
        cwd=settings.home,  # where no .env file lies
        capture_output=True,
        text=True,
        check=False,
    )
    if ended.returncode:
        raise StorageError(f"`bookrec {words[0]}` failed: {ended.stderr.strip()[-500:]}")
    told: dict[str, Any] = json.loads(ended.stdout)
    return told


def _bare(environment: Mapping[str, str]) -> dict[str, str]:
    """Without settings, but for where the embedded servers lie."""
    kept = f"{PREFIX}LOCAL_"
    return {n: v for n, v in environment.items() if not n.startswith(PREFIX) or n.startswith(kept)}


def main() -> int:
    """Run the drill; 0 if everything was as before, else 1."""
    parser = argparse.ArgumentParser(prog="make drill", description=__doc__)
    parser.add_argument("--source", default="sample")
    parser.add_argument("--data", help="its file or folder")
    told = parser.parse_args()
    params = RunParams(source=told.source, data_path=told.data and absolute(told.data))
    stop_on_sigterm()
    configure_logging(level=logging.WARNING)
    console, home = Console(highlight=False), Path(tempfile.mkdtemp(prefix="bookrec-drill-"))
    bare = _bare(os.environ)
    os.environ.clear()
    os.environ.update(bare)
    settings = Settings(_env_file=None, home=home, tuning={"budget_seconds": 0})
    try:
        outcome = drill(settings, params, console)
    except (BookrecError, httpx.HTTPError) as error:
        print(f"bookrec: the drill failed: {error}; see {home}", file=sys.stderr)  # noqa: T201 - its last word
        return 1
    _show(outcome, console)
    shutil.rmtree(home)
    return 1 if outcome.different else 0


def _show(outcome: Outcome, console: Console) -> None:
    same = outcome.answers - len(outcome.different)
    console.print(
        f"{same} of {outcome.answers} answers are the same to the byte.\n"
        f"While everything was gone, {outcome.went_on} of {READERS} lists were still answered.\n"
        f"Recovery time    {outcome.recovery_seconds:6.1f} s, from the loss to the last answer\n"
        f"Data loss window {outcome.lost_seconds:6.1f} s, from the backup to its restoration"
    )
    for path in outcome.different:
        console.print(f"[red]different:[/] {path}")


if __name__ == "__main__":
    sys.exit(main())
