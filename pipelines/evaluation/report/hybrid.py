"""What the hybrid is made of, and what one of its parts would make of more readers."""

from collections.abc import Mapping
from typing import Any

from pipelines.evaluation.report import wording
from pipelines.evaluation.report.wording import METRIC, joined, percent
from pipelines.pages import charts
from pipelines.pages.charts import Estimate
from pipelines.pages.page import Chart, Section

MAX_PARTS = 7
"""Parts of the blend with a colour of their own; lighter ones share the last."""


def learning(curve: Mapping[str, Any] | None) -> Section | None:
    if curve is None:
        return None
    points = curve["points"]
    before, last = points[max(len(points) - 2, 0)], points[-1]
    drawn = {p["readers"]: Estimate(p[METRIC], p["low"], p["high"]) for p in points}
    svg = charts.lines(
        {curve["model"]: drawn},
        labels=("Readers to learn from", "NDCG@10"),
        ticks={p["readers"]: f"{p['readers']:,}" for p in points},
    )
    says = (
        f"From {before['readers']:,} to {last['readers']:,} readers NDCG@10 changes by "
        f"{last[METRIC] - before[METRIC]:+.4f}."
    )
    text = (
        f"One part of the hybrid, {curve['model']}, learnt from ever more readers, and was judged "
        f"by the same {curve['judged_readers']:,} each time."
    )
    if curve["skipped"]:
        shares = joined([percent(100 * share) for share in curve["skipped"]])
        text += f" Left out, because it would have taken too long: {shares} of the readers."
    return Section("Would more readers help?", [text], {"learning_curve": Chart(
        f"{curve['model']} by number of readers", says, svg)})  # fmt: skip


def weights(blend: Mapping[str, Any]) -> Section:
    by_history = {int(low): w for low, w in blend["weights_by_history"].items()}
    rows = wording.liked_books(sorted(by_history))
    shown = {"all kinds together": blend["weights"]}
    shown |= {label: by_history[low] for low, label in rows.items()}
    preferring: dict[str, list[str]] = {}
    for row, by_part in shown.items():
        preferring.setdefault(max(by_part, key=lambda part: by_part[part]), []).append(row)
    said = [
        f"{part} counts most for {'readers of ' + joined(kinds) if len(preferring) > 1 else 'all'}"
        for part, kinds in preferring.items()
    ]
    return Section(
        "What the hybrid listens to",
        text=[
            "The hybrid adds up what its parts say; how much each counts depends on how many "
            "books a reader has liked. The weights were learnt from other rows than those that "
            "judge."
        ],
        charts={
            "weights": Chart(
                "Weight of each part",
                f"{joined(said)}.",
                charts.shares(_coloured(shown), label="% of the weight"),
            )
        },
    )


def _coloured(weights: Mapping[str, Mapping[str, float]]) -> dict[str, dict[str, float]]:
    """The heaviest parts, and the others as one where colours would run out."""
    overall = next(iter(weights.values()))
    parts = sorted(overall, key=lambda part: (-overall[part], part))
    shown, rest = parts[:MAX_PARTS], parts[MAX_PARTS:]
    return {
        row: {part: w[part] for part in shown}
        | ({"all others": sum(w[part] for part in rest)} if rest else {})
        for row, w in weights.items()
    }
