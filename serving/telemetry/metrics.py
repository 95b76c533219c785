"""What Prometheus can ask; right with any number of workers."""

import asyncio
import os
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest, values
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.values import MultiProcessValue

from pipelines.storage.figures import Figures
from serving.model.slot import ModelSlot
from serving.telemetry.gauges import Gauges

MULTIPROCESS = "PROMETHEUS_MULTIPROC_DIR"
if MULTIPROCESS in os.environ:
    # A worker does not fork: to ask for the process's id at each count took as long as the count.
    _pid = os.getpid()
    values.ValueClass = MultiProcessValue(lambda: _pid)  # type: ignore[no-untyped-call]

SHARES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
CHILDREN_KEPT = 1024
"""Series of a metric that are found by their labels at once, without a look at these."""
GATHER_SECONDS = 0.25
"""How long a count on the path of every request may wait to be written with others."""
OUTCOMES = ("complete", "superseded", "failed")
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


class ServingMetrics:
    """
    The service's own counters. Labels are bounded: route templates, never paths or ids.

    `bentoml serve` names a folder in `MULTIPROCESS` through which workers add up.
    """

    def __init__(self, *slots: ModelSlot) -> None:
        self._registry = CollectorRegistry()
        self._slots = slots
        self.requests = Counter(
            "bookrec_requests",
            "Requests by route template.",
            ["route", "method", "status"],
            registry=self._registry,
        )
        self.latency = Histogram(
            "bookrec_request_seconds",
            "Time from the first byte in to the last byte out.",
            ["route"],
            buckets=BUCKETS,
            registry=self._registry,
        )
        self.recommendations = Counter(
            "bookrec_recommendations",
            "Lists given, by where they came from and which version made them.",
            ["source", "version"],
            registry=self._registry,
        )
        self.feedback = Counter(
            "bookrec_feedback",
            "What readers did, by kind, and whether they say in answer to which list.",
            ["kind", "attributed"],
            registry=self._registry,
        )
        self.cache_operations = Counter(
            "bookrec_cache_operations",
            "Reads and writes on the request path, by result.",
            ["result"],
            registry=self._registry,
        )
        self.database_reads = Counter(
            "bookrec_database_reads",
            "Reads of what may be a little old, by the server that told it: replica or primary.",
            ["server"],
            registry=self._registry,
        )

        self.warm_ups = Counter(
            "bookrec_warm_ups",
            "Warm-ups of the cache that ended, by outcome.",
            ["outcome"],
            registry=self._registry,
        )
        for outcome in OUTCOMES:  # from zero on: the first failure is an increase too
            self.warm_ups.labels(outcome)
        self.shadow_lists = Counter(
            "bookrec_shadow_lists",
            "Lists made in the background to be compared with the champion's, by result.",
            ["result"],
            registry=self._registry,
        )
        self.shadow_overlap = Histogram(
            "bookrec_shadow_overlap",
            "Share of a list of ten that the champion's has too.",
            ["champion", "version"],
            buckets=SHARES,
            registry=self._registry,
        )
        self.rollbacks = Counter(
            "bookrec_automatic_rollbacks",
            "Promotions taken back by this service, by cause.",
            ["cause"],
            registry=self._registry,
        )
        self._waiting: list[_Gathered] = []
        for metric in (self.requests, self.recommendations, self.cache_operations):
            metric.labels = self._gathered(metric.labels)  # type: ignore[method-assign]
        self.latency.labels = lru_cache(CHILDREN_KEPT)(self.latency.labels)  # type: ignore[method-assign]

    def _gathered(self, labels: Callable[..., Counter]) -> Any:
        return lru_cache(CHILDREN_KEPT)(lambda *values: _Gathered(labels(*values), self._wait_for))

    def _wait_for(self, counted: "_Gathered") -> None:
        if not self._waiting:
            asyncio.get_running_loop().call_later(GATHER_SECONDS, self.flush)
        self._waiting.append(counted)

    def flush(self) -> None:
        """Let other workers know what was counted here a moment ago."""
        waiting, self._waiting = self._waiting, []
        for counted in waiting:
            counted.write()

    def render(
        self, checks: Mapping[str, bool] | None = None, figures: Figures | None = None
    ) -> bytes:
        """All metrics in Prometheus's text format; the arguments are those of `Gauges`."""
        self.flush()
        return generate_latest(self._all_workers()) + generate_latest(
            Gauges(self._slots, checks or {}, figures)
        )

    def cache_results(self) -> dict[str, int]:
        """How often the cache was asked with which result, by all workers."""
        self.flush()
        return {
            sample.labels["result"]: int(sample.value)
            for family in self._all_workers().collect()
            for sample in family.samples
            if sample.name == "bookrec_cache_operations_total"
        }

    def _all_workers(self) -> CollectorRegistry:
        if MULTIPROCESS not in os.environ:
            return self._registry
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return registry


class _Gathered:
    """
    A counter on the path of every request, written to where all workers see it once in a while.

    Of the event loop alone; a worker that is killed loses what was not written yet.
    """

    def __init__(self, counter: Counter, wait_for: Callable[["_Gathered"], None]) -> None:
        self._counter = counter
        self._wait_for = wait_for
        self._count = 0

    def inc(self, count: int = 1) -> None:
        """Count one, or several at once."""
        if not self._count:
            self._wait_for(self)
        self._count += count

    def write(self) -> None:
        """Add what was counted since the last time."""
        self._counter.inc(self._count)
        self._count = 0
