import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from pipelines.storage.figures import Figures
from serving.figures import RecentFigures
from tests.factories import FIGURES, WHEN
from tests.fakes import FakeCache
from tests.serving_parts import Shelf, bundle, parts


class SlowDatabase:
    """Answers once it is let."""

    def __init__(self) -> None:
        self.asked = 0
        self.ready = asyncio.Event()

    async def within(self, work: Callable[..., Any]) -> Figures:
        self.asked += 1
        await self.ready.wait()
        return FIGURES


def sample(printed: bytes, name: str, labels: Mapping[str, str]) -> float:
    """The value of the one sample of this name and these labels."""
    families = text_string_to_metric_families(printed.decode())
    (found,) = (
        s
        for family in families
        for s in family.samples
        if s.name == f"bookrec_{name}" and s.labels == labels
    )
    return found.value


def gauges(shelf: Shelf) -> list[str]:
    printed = parts(shelf).metrics.render().decode()
    wanted = ("bookrec_model_info{", "bookrec_data_quality_score{")
    return [line for line in printed.splitlines() if line.startswith(wanted)]


def test_the_score_of_the_batch_behind_the_model_in_service_is_told(shelf: Shelf):
    shelf.publish(bundle(), data_quality_score="97.25")
    version = shelf.publish(bundle(), data_quality_score="88.5")
    assert gauges(shelf) == [
        f'bookrec_model_info{{alias="champion",version="{version}"}} 1.0',
        f'bookrec_data_quality_score{{version="{version}"}} 88.5',
    ]


def test_a_version_without_a_score_has_none(shelf: Shelf):
    version = shelf.publish(bundle())
    assert gauges(shelf) == [f'bookrec_model_info{{alias="champion",version="{version}"}} 1.0']


def test_without_a_model_there_is_nothing_to_tell(shelf: Shelf):
    assert gauges(shelf) == []


def test_a_model_tells_its_age(shelf: Shelf):
    version = shelf.publish(bundle())
    created = shelf.registry.by_alias("champion").created_at.timestamp()
    labels = {"alias": "champion", "version": str(version)}
    assert sample(parts(shelf).metrics.render(), "model_created_timestamp_seconds", labels) == (
        created
    )


@pytest.mark.parametrize(
    ("name", "labels", "value"),
    [
        ("check_ok", {"check": "redis"}, 0),
        ("batch_profiled_timestamp_seconds", {"dataset": "shop"}, WHEN.timestamp()),
        ("batch_accepted", {"dataset": "shop"}, 0),
        ("batch_quality_score", {"dataset": "shop"}, 81.5),
        ("batch_psi", {"dataset": "shop", "column": "rating"}, 0.31),
        ("batch_drifted_columns", {"dataset": "shop", "level": "warning"}, 1),
        ("batch_drifted_columns", {"dataset": "shop", "level": "critical"}, 0),
        ("batch_accepted", {"dataset": "first"}, 1),
        ("batch_drifted_columns", {"dataset": "first", "level": "warning"}, 0),
        ("load_timestamp_seconds", {"library": "shop"}, WHEN.timestamp()),
        ("library_ratings", {"library": "shop"}, 600_000),
        ("gate_decisions_total", {"accepted": "true"}, 2),
        ("champion_moves_total", {"action": "rollback"}, 0),
        ("gate_decision_timestamp_seconds", {}, WHEN.timestamp()),
        ("warm_ups_total", {"outcome": "failed"}, 0),
    ],
)
def test_what_stands_in_postgresql_is_told(
    shelf: Shelf, name: str, labels: dict[str, str], value: float
):
    printed = parts(shelf).metrics.render({"redis": False}, FIGURES)
    assert sample(printed, name, labels) == value


def test_a_gate_that_never_decided_tells_no_time(shelf: Shelf):
    printed = parts(shelf).metrics.render({}, replace(FIGURES, decided_at=None))
    assert b"gate_decision_timestamp" not in printed


def test_a_warm_up_that_failed_is_counted(shelf: Shelf, cache: FakeCache):
    shelf.publish(bundle())
    components = parts(shelf, cache)

    async def warm() -> None:
        await components.warming.warm()
        cache.failure = "connection refused"
        while not (await components.warming.state()).finished:
            await asyncio.sleep(0)
        await components.warming.stop()

    asyncio.run(warm())
    assert sample(components.metrics.render(), "warm_ups_total", {"outcome": "failed"}) == 1


def test_a_slow_database_is_asked_once_and_waited_for_a_moment(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("serving.figures.PATIENCE_SECONDS", 0.01)
    database = SlowDatabase()

    async def scrape() -> list[Figures | None]:
        figures = RecentFigures(database, "hybrid")  # type: ignore[arg-type]
        told = [await figures.read(), await figures.read()]
        database.ready.set()
        await asyncio.sleep(0)
        told.append(await figures.read())
        await figures.stop()
        return told

    assert asyncio.run(scrape()) == [None, None, FIGURES]
    assert database.asked == 1
