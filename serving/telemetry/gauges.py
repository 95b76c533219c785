"""Gauges of how things stand, made for each scrape: no series of what is gone stays behind."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from pipelines.registry import DATA_QUALITY_SCORE
from pipelines.storage.figures import BatchFigures, Figures
from serving.model.slot import ModelSlot

DRIFTED = ("warning", "critical")


@dataclass(frozen=True)
class Gauges:
    """
    What the answering worker sees, and what PostgreSQL tells it.

    Args:
        slots: Of the models in service.
        checks: Those of `/readyz` and more, by name: whether each is well.
        figures: Of pipeline and data; None where PostgreSQL does not tell them.
    """

    slots: Iterable[ModelSlot]
    checks: Mapping[str, bool]
    figures: Figures | None

    def collect(self) -> Iterable[Metric]:
        """What `prometheus_client` asks a collector for."""
        yield _gauge(
            "bookrec_check_ok",
            "Whether what the service depends on is well, as the answering worker sees it.",
            ["check"],
            (((name,), is_ok) for name, is_ok in self.checks.items()),
        )
        yield from self._models()
        if self.figures is not None:
            yield from _batches(self.figures.batches)
            yield from _library(self.figures)
            yield from _releases(self.figures)

    def _models(self) -> Iterable[Metric]:
        loaded = [(slot.alias, model) for slot in self.slots if (model := slot.current)]
        yield _gauge(
            "bookrec_model_info",
            "The models in service in the answering worker.",
            ["version", "alias"],
            (((str(m.number), alias), 1) for alias, m in loaded),
        )
        yield _gauge(
            "bookrec_model_created_timestamp_seconds",
            "When a model in service was registered.",
            ["version", "alias"],
            (((str(m.number), alias), m.version.created_at.timestamp()) for alias, m in loaded),
        )
        scores = ((str(m.number), m.version.tags.get(DATA_QUALITY_SCORE)) for _, m in loaded)
        yield _gauge(
            "bookrec_data_quality_score",
            "Quality score, 0 to 100, of the batch that a model in service was made from.",
            ["version"],
            (((version,), float(score)) for version, score in scores if score is not None),
        )


def _batches(batches: Iterable[BatchFigures]) -> Iterable[Metric]:
    yield _gauge(
        "bookrec_batch_profiled_timestamp_seconds",
        "When the newest batch of a dataset was profiled, refused or not.",
        ["dataset"],
        (((b.dataset,), b.made_at.timestamp()) for b in batches),
    )
    yield _gauge(
        "bookrec_batch_accepted",
        "Whether the gate accepted that batch.",
        ["dataset"],
        (((b.dataset,), b.accepted) for b in batches),
    )
    yield _gauge(
        "bookrec_batch_quality_score",
        "Quality score, 0 to 100, of that batch.",
        ["dataset"],
        (((b.dataset,), b.score) for b in batches),
    )
    yield _gauge(
        "bookrec_batch_psi",
        "Population stability index of a column of that batch against the batch stored before.",
        ["dataset", "column"],
        (((b.dataset, column), psi) for b in batches for column, psi, _ in b.columns),
    )
    yield _gauge(
        "bookrec_batch_drifted_columns",
        "Columns of that batch that have drifted, by how gravely.",
        ["dataset", "level"],
        (
            ((b.dataset, level), sum(found == level for *_, found in b.columns))
            for b in batches
            for level in DRIFTED
        ),
    )


def _library(figures: Figures) -> Iterable[Metric]:
    yield _gauge(
        "bookrec_load_timestamp_seconds",
        "When a batch became part of a library last.",
        ["library"],
        (((found.library,), found.loaded_at.timestamp()) for found in figures.libraries),
    )
    yield _gauge(
        "bookrec_library_ratings",
        "Ratings in a library.",
        ["library"],
        (((found.library,), found.ratings) for found in figures.libraries),
    )


def _releases(figures: Figures) -> Iterable[Metric]:
    decisions = CounterMetricFamily(
        "bookrec_gate_decisions",
        "Decisions of the gate about models, by whether it accepted.",
        labels=["accepted"],
    )
    for accepted, count in figures.decisions.items():
        decisions.add_metric([str(accepted).lower()], count)
    moves = CounterMetricFamily(
        "bookrec_champion_moves", "Moves of the champion, by action.", labels=["action"]
    )
    for action, count in figures.moves.items():
        moves.add_metric([action], count)
    yield from (decisions, moves)
    if figures.decided_at is not None:
        yield GaugeMetricFamily(
            "bookrec_gate_decision_timestamp_seconds",
            "When the gate decided about a model last.",
            value=figures.decided_at.timestamp(),
        )


def _gauge(
    name: str, told: str, labels: list[str], samples: Iterable[tuple[tuple[str, ...], float]]
) -> GaugeMetricFamily:
    gauge = GaugeMetricFamily(name, told, labels=labels)
    for values, value in samples:
        gauge.add_metric(values, float(value))
    return gauge
