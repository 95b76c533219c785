"""Champions that follow each other while readers ask: two workers, one announcement each."""

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from pipelines.registry import CHAMPION, MlflowRegistry
from pipelines.storage.announcements import announce_champion
from tests import factories
from tests.integration.serving.conftest import Serve
from tests.serving_parts import settings

pytestmark = [pytest.mark.integration, pytest.mark.anyio]

SWAPS, WORKERS, CONNECTIONS = 8, 2, 8
PATIENCE_SECONDS = 20
READERS = ("ann", "bob", "cid", "nobody")
BookIds = dict[tuple[int, str], list[str]]
"""By version and reader, what has to be answered."""


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@dataclass
class Answers:
    """What a bounded number of readers was told, one question after the other."""

    expected: BookIds
    oldest_allowed: int = 1
    given: int = 0
    wrong: list[Any] = field(default_factory=list)

    async def ask_until(self, base_url: str, stop: asyncio.Event) -> None:
        async with httpx.AsyncClient(base_url=base_url, timeout=10) as http:
            while not stop.is_set():
                # A new connection now and then: a worker keeps those that it has.
                for reader in READERS * 5:
                    await self._ask(http, reader)
                await http.get("/livez", headers={"Connection": "close"})

    async def _ask(self, http: httpx.AsyncClient, reader: str) -> None:
        oldest = self.oldest_allowed
        try:
            answer = await http.get(f"/api/v1/users/{reader}/recommendations")
            body = answer.raise_for_status().json()
        except httpx.HTTPError as error:
            self.wrong.append(repr(error))
            return
        book_ids = [item["book_id"] for item in body["items"]]
        if self.expected[body["model_version"], reader] != book_ids:
            self.wrong.append(("mixed", body))
        if body["model_version"] < oldest:
            self.wrong.append(("outdated", body))
        self.given += 1


async def test_no_answer_fails_or_mixes_two_models_and_all_workers_follow_at_once(
    serve: Serve,
    registry: MlflowRegistry,
    redis_url: str,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
):
    told = settings(redis_url=SecretStr(redis_url))
    expected: BookIds = {}
    for version in range(1, SWAPS + 2):
        expected |= _registered(registry, tmp_path / f"bundle-{version}", version)
    registry.set_alias(CHAMPION, 1)
    with serve(BOOKREC_API__POLL_SECONDS="3600") as served:
        served.until("/readyz", lambda a: a.status_code == 200)
        await _until(lambda: _loaded(served.log, 1) == WORKERS)
        answers, stop = Answers(expected), asyncio.Event()
        base_url = str(served.http.base_url)
        asking = [
            asyncio.create_task(answers.ask_until(base_url, stop)) for _ in range(CONNECTIONS)
        ]
        seconds = []
        for version in range(2, SWAPS + 2):
            await asyncio.sleep(0.3)
            await asyncio.to_thread(registry.set_alias, CHAMPION, version)
            promoted = time.monotonic()
            await asyncio.to_thread(announce_champion, told, version)
            await _until(lambda version=version: _loaded(served.log, version) == WORKERS)
            seconds.append(round(time.monotonic() - promoted, 3))
            answers.oldest_allowed = version
        await asyncio.sleep(0.3)
        stop.set()
        await asyncio.gather(*asking)
    print(f"{answers.given} answers; both workers had a new champion after {seconds} s")  # noqa: T201 - for whoever measures
    record_property("swap_seconds", seconds)
    assert answers.wrong == []
    assert answers.given > 100


def _registered(registry: MlflowRegistry, folder: Path, version: int) -> BookIds:
    """A version whose books have ids of its own; gives what it answers."""
    bundle = factories.bundle([f"v{version}-{num:02}" for num in range(factories.N_BOOKS)])
    bundle.save(folder)
    registry.record_run("hybrid", folder.name, params={}, metrics={}, tags={})
    assert registry.register("hybrid", folder.name, folder, {}).version == version
    return {
        (version, reader): [str(item.book_id) for item in bundle.recommend(reader, 10).items]
        for reader in READERS
    }


def _loaded(log: Path, version: int) -> int:
    """How many workers say that they have loaded a version."""
    lines = (line for line in log.read_text().splitlines() if '"model_loaded"' in line)
    return sum(json.loads(line)["version"] == version for line in lines)


async def _until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)
