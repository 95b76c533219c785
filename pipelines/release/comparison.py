"""Versions of the model side by side, as a page: how good, how varied, from what code and data."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

from pipelines.evaluation.report import wording
from pipelines.evaluation.report.wording import METRIC, number
from pipelines.pages import charts
from pipelines.pages.charts import Estimate
from pipelines.pages.page import Chart, Page, Section, Table
from pipelines.registry import CHAMPION, DATA_QUALITY_SCORE, MlflowRegistry, ModelVersion

COVERAGE = "coverage_at_10"
SHORT = 7
"""Characters of a revision or a fingerprint that people look at."""


@dataclass(frozen=True)
class Compared:
    """A version, and what its run has measured."""

    version: ModelVersion
    metrics: dict[str, float]

    @property
    def name(self) -> str:
        """Its number, and what it is to the service."""
        aliases = ", ".join(self.version.aliases)
        return f"{self.version.version} {aliases}" if aliases else str(self.version.version)

    @property
    def data(self) -> str:
        """What it was made from, as a fingerprint."""
        return self.version.tags.get("data_fingerprint", "")


def measured(registry: MlflowRegistry, versions: Sequence[ModelVersion]) -> list[Compared]:
    """Those of `versions` that have been measured, in their order."""
    found = [Compared(version, registry.metrics(version.run_id)) for version in versions]
    return [compared for compared in found if METRIC in compared.metrics]


def comparison(model: str, compared: Sequence[Compared], ui: str | None = None) -> Page:
    """
    The page.

    Args:
        model: What is registered.
        compared: At least one version.
        ui: Where MLflow's pages are, if anywhere.
    """
    accent = next((c.name for c in compared if CHAMPION in c.version.aliases), None)
    return Page(
        "Model versions",
        model,
        max(c.version.created_at for c in compared),
        [
            _accuracy(compared, accent),
            _variety(compared, accent),
            _origins(compared, ui),
        ],
        subject="Versions of",
    )


def _accuracy(compared: Sequence[Compared], accent: str | None) -> Section:
    best = max(compared, key=lambda c: c.metrics[METRIC])
    drawn = {
        metric: Chart(title, f"{meaning}.", charts.bars(found, label=title, accent=accent))
        for metric, (title, meaning) in wording.ACCURACY.items()
        if (found := _estimates(compared, metric))
    }
    says = (
        f"Version {best.version.version} has the highest NDCG@10, {number(best.metrics[METRIC])}."
    )
    return Section("Accuracy", text=[says, _caution(compared)], charts=drawn)


def _caution(compared: Sequence[Compared]) -> str:
    if len({c.data for c in compared}) == 1:
        return "All learnt from the same data, and were judged by the same hidden books."
    return (
        "They learnt from different data, so they were judged by different hidden books: a small "
        "difference may be one of the data. The gate compares a challenger with the champion on "
        "the same readers; its decision is kept with each version."
    )


def _estimates(compared: Sequence[Compared], metric: str) -> dict[str, Estimate]:
    return {
        c.name: Estimate(
            c.metrics[metric], c.metrics.get(f"{metric}_low"), c.metrics.get(f"{metric}_high")
        )
        for c in compared
        if metric in c.metrics
    }


def _variety(compared: Sequence[Compared], accent: str | None) -> Section:
    points = {
        c.name: (100 * c.metrics[COVERAGE], c.metrics[METRIC])
        for c in compared
        if COVERAGE in c.metrics
    }
    if not points:
        return Section("Variety", text=["How much of the catalogue they list was not measured."])
    labels = ("Coverage: % of all books that are listed", "NDCG@10")
    chart = Chart(
        "Accuracy and coverage",
        "Higher finds more, further right shows more of the shelves.",
        charts.scatter(points, labels=labels, accent=accent),
    )
    header = ["Version", *(title for title, _ in wording.BEYOND.values())]
    rows = [
        [c.name, *(wording.beyond(metric, c.metrics.get(metric)) for metric in wording.BEYOND)]
        for c in compared
    ]
    return Section("Variety", charts={"coverage": chart}, table=Table(header, rows))


def _origins(compared: Sequence[Compared], ui: str | None) -> Section:
    header = ["Version", "Registered", "Library", "Data", "Quality", "Revision", "NDCG@10"]
    rows = [
        [
            c.name,
            f"{c.version.created_at:%Y-%m-%d %H:%M}",
            c.version.tags.get("library", ""),
            c.data[:SHORT],
            _of_hundred(c.metrics.get(DATA_QUALITY_SCORE)),
            c.version.tags.get("git_sha", "")[:SHORT],
            number(c.metrics[METRIC]),
        ]
        for c in compared
    ]
    links = {"The same runs in MLflow": _in_mlflow(ui, compared)} if ui else {}
    return Section("Where they come from", table=Table(header, rows), links=links)


def _of_hundred(score: float | None) -> str:
    return wording.NONE if score is None else f"{score:.1f}"


def _in_mlflow(ui: str, compared: Sequence[Compared]) -> str:
    runs = quote(json.dumps([c.version.run_id for c in compared]), safe="")
    return f"{ui.rstrip('/')}/#/compare-runs?runs={runs}"
