"""What Prometheus can ask; right with any number of workers."""

import os
from collections.abc import Iterable
from functools import lru_cache

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest, values
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.values import MultiProcessValue

from pipelines.registry import DATA_QUALITY_SCORE
from serving.model_slot import ModelSlot

MULTIPROCESS = "PROMETHEUS_MULTIPROC_DIR"
if MULTIPROCESS in os.environ:
    # A worker does not fork: to ask for the process's id at each count took as long as the count.
    _pid = os.getpid()
    values.ValueClass = MultiProcessValue(lambda: _pid)  # type: ignore[no-untyped-call]

SHARES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
CHILDREN_KEPT = 1024
"""Series of a metric that are found by their labels at once, without a look at these."""
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
        for metric in (self.requests, self.latency, self.recommendations, self.cache_operations):
            metric.labels = lru_cache(CHILDREN_KEPT)(metric.labels)  # type: ignore[method-assign,assignment]

    def render(self) -> bytes:
        """All metrics in Prometheus's text format."""
        return generate_latest(self._all_workers()) + generate_latest(_ModelInfo(self._slots))

    def cache_results(self) -> dict[str, int]:
        """How often the cache was asked with which result, by all workers."""
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


class _ModelInfo:
    """Gauges of the versions in service, read when asked: no series of old ones stay behind."""

    def __init__(self, slots: Iterable[ModelSlot]) -> None:
        self._slots = slots

    def collect(self) -> Iterable[GaugeMetricFamily]:
        info = GaugeMetricFamily(
            "bookrec_model_info",
            "The models in service in the answering worker.",
            labels=["version", "alias"],
        )
        quality = GaugeMetricFamily(
            "bookrec_data_quality_score",
            "Quality score, 0 to 100, of the batch that a model in service was made from.",
            labels=["version"],
        )
        for model, alias in ((slot.current, slot.alias) for slot in self._slots):
            if model is None:
                continue
            info.add_metric([str(model.number), alias], 1)
            if (score := model.version.tags.get(DATA_QUALITY_SCORE)) is not None:
                quality.add_metric([str(model.number)], float(score))
        yield from (info, quality)
