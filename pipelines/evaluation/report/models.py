"""How the models did: each by each metric, the served one against the others, and their variety."""

from collections.abc import Mapping
from typing import Any

from pipelines.evaluation.report import wording
from pipelines.evaluation.report.wording import METRIC, estimate, joined, number, percent
from pipelines.pages import charts
from pipelines.pages.charts import Estimate
from pipelines.pages.page import Chart, Section, Table

SIGNIFICANT = 0.05

Measured = Mapping[str, Any]
"""What the stage `evaluate` writes of one model into `metrics.json`."""


def side_by_side(models: Mapping[str, Measured], served: str) -> Section:
    drawn = {}
    for metric, (title, meaning) in wording.ACCURACY.items():
        found = estimates(models, metric)
        best = max(found, key=lambda name: found[name].value)
        says = f"{meaning}; {best} has the most, {number(found[best].value)}."
        drawn[metric] = Chart(title, says, charts.bars(found, label=title, accent=served))
    header = ["Model", *(title for title, _ in wording.ACCURACY.values())]
    rows = [
        [name, *(estimate(estimates(models, metric)[name]) for metric in wording.ACCURACY)]
        for name in models
    ]
    return Section("Models side by side", charts=drawn, table=Table(header, rows, folded=True))


def chance(comparisons: Mapping[str, Any], served: str) -> Section:
    title = "More than chance?"
    if not comparisons:
        return Section(title, text=[f"There is no other model to compare {served} with."])
    found = {name: Estimate(c["mean"], c["low"], c["high"]) for name, c in comparisons.items()}
    order = sorted(found, key=lambda name: (found[name].value, name))
    proven = {n for n, c in comparisons.items() if c["p_value_holm"] < SIGNIFICANT}
    told = {
        "ahead of": [n for n in order if n in proven and found[n].value > 0],
        "behind": [n for n in order if n in proven and found[n].value < 0],
        "as good as": [n for n in order if n not in proven],
    }
    says = joined([f"{how} {joined(names)}" for how, names in told.items() if names])
    chart = Chart(
        f"Lead of {served}",
        f"As far as can be told apart from chance, {served} is {says}.",
        charts.bars({n: found[n] for n in order}, label="Difference in NDCG@10"),
    )
    rows = [
        [n, f"{found[n].value:+.4f}", f"{found[n].low:+.4f} to {found[n].high:+.4f}",
         wording.p_value(comparisons[n]["p_value_holm"])]
        for n in order
    ]  # fmt: skip
    return Section(
        title,
        text=[
            "Both models listed books for the same readers. The last column is how often chance "
            f"alone would make a difference as large; below {SIGNIFICANT} it counts as real. It "
            f"is corrected for there being {len(rows)} comparisons (Holm)."
        ],
        charts={"comparisons": chart},
        table=Table(["Compared with", "Difference", "95 % interval", "Chance (p, Holm)"], rows),
    )


def variety(models: Mapping[str, Measured], served: str) -> Section:
    points = {
        name: (100 * m["metrics"]["coverage_at_10"], m["metrics"][METRIC])
        for name, m in models.items()
    }
    widest = max(points, key=lambda name: points[name][0])
    chart = Chart(
        "Accuracy and coverage",
        f"Higher finds more, further right shows more of the shelves: {served} lists "
        f"{percent(points[served][0])} of all books for somebody, {widest} the most, "
        f"{percent(points[widest][0])}.",
        charts.scatter(
            points, labels=("Coverage: % of all books that are listed", "NDCG@10"), accent=served
        ),
    )
    rows = [
        [name, *(wording.beyond(metric, m["metrics"].get(metric)) for metric in wording.BEYOND)]
        for name, m in models.items()
    ]
    header = ["Model", *(title for title, _ in wording.BEYOND.values())]
    meanings = [f"{title}: {meaning}." for title, meaning in wording.BEYOND.values()]
    return Section(
        "Variety",
        text=[" ".join(meanings)],
        charts={"coverage": chart},
        table=Table(header, rows),
    )


def estimates(models: Mapping[str, Measured], metric: str) -> dict[str, Estimate]:
    return {n: Estimate(m["metrics"][metric], *m["intervals"][metric]) for n, m in models.items()}
