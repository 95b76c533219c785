"""Kinds of readers and of books: what is served against the best other model."""

from collections.abc import Mapping
from typing import Any

from pipelines.evaluation.report import wording
from pipelines.evaluation.report.models import Measured
from pipelines.evaluation.report.wording import METRIC, NONE, estimate, joined, number
from pipelines.pages import charts
from pipelines.pages.charts import Estimate
from pipelines.pages.page import Chart, Section, Table

ENOUGH = 30
"""Readers of a slice of which a sentence may speak."""


def slices(models: Mapping[str, Measured], served: str) -> Section | None:
    if not models[served]["slices"]:
        return None
    compared = [served, *[name for name in models if name != served][:1]]
    found = {name: models[name]["slices"] for name in compared}
    drawn = {
        group: _slice_chart(title, {n: _in_group(s, group) for n, s in found.items()})
        for group, title in wording.GROUPS.items()
        if _in_group(found[served], group)
    }
    rows = [
        [wording.slice_name(name), f"{int(s['n_readers']):,}",
         *(estimate(_of_slice(found[n][name])) if name in found[n] else NONE for n in compared)]
        for name, s in found[served].items()
    ]  # fmt: skip
    rival = f" against {compared[1]}, the best other model" if len(compared) > 1 else ""
    return Section(
        "For whom, and for which books",
        text=[
            f"NDCG@10 of {served}{rival}. In brackets stands the number of readers: where they "
            "are few, little can be said. A kind of book is judged by the books of that kind "
            "alone, so that its numbers are lower than those for readers."
        ],
        charts=drawn,
        table=Table(["", "Readers", *compared], rows, folded=True),
    )


def _slice_chart(title: str, found: Mapping[str, Mapping[str, Any]]) -> Chart:
    served, *rivals = found
    own = found[served]
    says = _best_and_worst(served, {n: s for n, s in own.items() if s["n_readers"] >= ENOUGH})
    for rival in rivals:
        lost = [n for n in own if n in found[rival] and clearly_better(found[rival][n], own[n])]
        where = f"with {joined([wording.slice_name(n) for n in lost])}" if lost else "nowhere"
        says += f"; {rival} is clearly better {where}"
    labels = {n: f"{wording.slice_name(n)} ({int(s['n_readers']):,})" for n, s in own.items()}
    series = {
        name: {labels[n]: _of_slice(s) for n, s in slices.items() if n in labels}
        for name, slices in found.items()
    }
    return Chart(title, f"{says}.", charts.dots(series, label="NDCG@10"))


def _best_and_worst(served: str, told: Mapping[str, Any]) -> str:
    if len(told) < 2:
        return f"There are too few readers to say with what {served} does best"
    best, worst = (choose(told, key=lambda n: told[n][METRIC]) for choose in (max, min))
    return (
        f"{served} does best with {wording.slice_name(best)} ({number(told[best][METRIC])}) "
        f"and worst with {wording.slice_name(worst)} ({number(told[worst][METRIC])})"
    )


def clearly_better(one: Mapping[str, float], other: Mapping[str, float]) -> bool:
    """Whether the intervals of two slices do not meet."""
    return one[f"{METRIC}_low"] > other[f"{METRIC}_high"]


def _in_group(slices: Mapping[str, Any], group: str) -> dict[str, Any]:
    return {name: s for name, s in slices.items() if wording.group_of(name) == group}


def _of_slice(found: Mapping[str, float]) -> Estimate:
    return Estimate(found[METRIC], found[f"{METRIC}_low"], found[f"{METRIC}_high"])
