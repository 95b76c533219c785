"""What was measured, as a page for people who recommend books rather than measure models."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pipelines.evaluation.report import wording
from pipelines.evaluation.report.hybrid import learning, weights
from pipelines.evaluation.report.models import Measured, chance, estimates, side_by_side, variety
from pipelines.evaluation.report.slices import slices
from pipelines.evaluation.report.wording import METRIC, percent
from pipelines.pages.page import Page, Section, Table


def report(
    measured: Mapping[str, Measured],
    *,
    served: str,
    blend: Mapping[str, Any],
    curve: Mapping[str, Any] | None,
    run_id: str,
    date: datetime,
) -> Page:
    """
    The page about one evaluation; nothing of it depends on how long anything took.

    Args:
        measured: By model, as in `metrics.json`.
        served: Which of them readers get.
        blend: What the stage `blend` told: weights and weights_by_history.
        curve: A `LearningCurve` as a dict; None if none was drawn.
        run_id: The run.
        date: When the run's data were read.
    """
    # Best first, and by name where they are equal, whatever order they came in.
    names = sorted(measured, key=lambda name: (-measured[name]["metrics"][METRIC], name))
    models = {name: measured[name] for name in names}
    sections = [
        _in_short(models, served),
        side_by_side(models, served),
        chance(models[served].get("comparisons", {}), served),
        variety(models, served),
        slices(models, served),
        learning(curve),
        weights(blend),
        measured_on(models[served]["split"]),
    ]
    return Page("Evaluation", run_id, date, [s for s in sections if s is not None])


def _in_short(models: Mapping[str, Measured], served: str) -> Section:
    found = estimates(models, "hit_rate_at_10")[served]
    n = int(models[served]["metrics"]["n_readers"])
    hidden = wording.HIDDEN[models[served]["split"]["order"]]
    low, high = (round(100 * (found.value if b is None else b)) for b in (found.low, found.high))
    return Section(
        "In short",
        text=[
            f"{hidden} Each model was told the rest, and listed ten books for each of {n:,} "
            "readers. It did well where hidden books that the reader liked are in the list, the "
            "nearer the top the better.",
            f"For {round(100 * found.value)} of 100 readers {served}, which is what readers are "
            f"served, listed at least one of them ({low} to {high}, allowing for chance).",
            "Thin lines and shaded bands are 95 % intervals: how far off a number may be because "
            "other readers might have been asked.",
        ],
    )


def measured_on(split: Mapping[str, Any]) -> Section:
    """How rows were shared out between learning and judging."""
    purposes = {"train": "learn from", "validation": "choose by", "test": "judge by"}
    rows = [
        [f"Ratings to {purpose}", f"{split['rows'][part]:,}", percent(100 * split["shares"][part])]
        for part, purpose in purposes.items()
    ]
    return Section(
        "What it was measured on",
        text=[
            wording.ORDER[split["order"]],
            "Every model ranks the whole catalogue, never a sample of it. The numbers compare "
            "models on these data; they cannot be compared with those from other data.",
        ],
        table=Table(
            ["", "Number", "Of each reader"],
            [
                ["Readers", f"{split['readers']:,}", ""],
                ["Readers to judge by", f"{split['judged_readers']:,}", ""],
                ["Books", f"{split['books']:,}", ""],
                *rows,
            ],
        ),
    )
