"""
The model card: what a version was made from, how good it is, and where it is weak.

After [Mitchell et al. 2019, "Model Cards for Model Reporting", doi 10.1145/3287560.3287596].
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import groupby
from typing import Any

from pipelines.evaluation.report import wording
from pipelines.evaluation.report.hybrid import weights
from pipelines.evaluation.report.models import Measured, estimates
from pipelines.evaluation.report.page import measured_on
from pipelines.evaluation.report.slices import ENOUGH, clearly_better, slices
from pipelines.evaluation.report.wording import METRIC, estimate, joined, number, percent
from pipelines.pages.markdown import escaped, markdown, sections
from pipelines.pages.page import Page, Section, Table

LICENCES = {
    "sample": "none needed: made up by this project",
    "goodbooks-10k": "CC BY-SA 4.0",
    "book-crossing": "for research, with acknowledgement; no licence is named",
}
"""By source, under what its data may be used, as their publishers say."""
UNKNOWN_LICENCE = "not known to this project"
SERVED = "hybrid"
DESCRIPTION_LENGTH = 5000
"""Characters that MLflow keeps of a version's description."""


@dataclass(frozen=True)
class Origin:
    """What a version was made from, and what it cost."""

    model: str
    version: int
    run_id: str
    date: datetime
    source: str
    library: str
    data_fingerprint: str
    git_sha: str
    quality_score: float
    blend: Mapping[str, Any]
    """What the stage `blend` told."""
    seconds: Mapping[str, float]
    """By stage, or model that was trained."""


@dataclass(frozen=True)
class ModelCard:
    """The card as a page, and as Markdown, whole and in short."""

    page: Page
    brief: tuple[Section, ...]

    @property
    def markdown(self) -> str:
        """All of it but the pictures."""
        return markdown(self.page)

    def description(self, where: str) -> str:
        """
        The part that says most, cut between paragraphs if it has to be.

        Args:
            where: How to find the whole card.
        """
        end = f"The whole card: {escaped(where)}."
        text, room = "", DESCRIPTION_LENGTH - len(end)
        for block in sections(self.brief):
            if len(text) + len(block) + 2 > room:
                break
            text += f"{block}\n\n"
        return text + end


def model_card(measured: Measured, origin: Origin) -> ModelCard:
    """
    The card of a version.

    Args:
        measured: Of the hybrid, as in `metrics.json`.
        origin: Where it comes from.
    """
    models = {SERVED: measured}
    short, weak, numbers = _in_short(models, origin), _weak_spots(measured), _numbers(models)
    parts = [
        short,
        weak,
        numbers,
        slices(models, SERVED),
        _data(measured["split"], origin),
        measured_on(measured["split"]),
        _blend(origin.blend),
        _knobs(origin.blend),
        _training(origin.seconds),
    ]
    title = f"Model card of {origin.model}, version {origin.version}"
    page = Page(title, origin.run_id, origin.date, [s for s in parts if s is not None])
    return ModelCard(page, (short, weak, numbers))


def _in_short(models: Mapping[str, Measured], origin: Origin) -> Section:
    split = models[SERVED]["split"]
    rows, found = sum(split["rows"].values()), estimates(models, METRIC)[SERVED]
    return Section(
        "In short",
        text=[
            f"A hybrid of {len(origin.blend['weights'])} models that ranks the {split['books']:,} "
            f"books of {origin.library} for its {split['readers']:,} readers, and for others by "
            f"what they say they like. It has learnt from {rows:,} ratings.",
            f"Fitted without the ratings to judge by, its NDCG@10 on them is {estimate(found)}, "
            f"over {split['judged_readers']:,} readers; the interval is one of 95 %.",
            "Made to suggest books. It knows nothing of a reader but books and ratings, says "
            "nothing of a book's worth, and is not meant to judge people.",
        ],
    )


def _numbers(models: Mapping[str, Measured]) -> Section:
    measured = models[SERVED]["metrics"]
    rows = [
        [title, estimate(estimates(models, metric)[SERVED]), meaning]
        for metric, (title, meaning) in wording.ACCURACY.items()
    ]
    rows += [
        [title, wording.beyond(metric, measured.get(metric)), meaning[0].upper() + meaning[1:]]
        for metric, (title, meaning) in wording.BEYOND.items()
    ]
    return Section("Numbers", table=Table(["", "Value (95 % interval)", "What it is"], rows))


def _weak_spots(measured: Measured) -> Section:
    """Of each group, the slices that are clearly behind its best one."""
    told, few = [], []
    by_group = sorted(measured["slices"].items(), key=lambda item: wording.group_of(item[0]))
    for group, members in groupby(by_group, key=lambda item: wording.group_of(item[0])):
        found = dict(members)
        enough = {n: s for n, s in found.items() if s["n_readers"] >= ENOUGH}
        few += [wording.slice_name(n) for n in found.keys() - enough.keys()]
        if (behind := _behind(enough)) is not None:
            told.append(f"{wording.GROUPS[group]}: {behind}.")
    text = told or ["No kind of reader or of book is clearly behind the others."]
    if few:
        text.append(f"Too few readers to say how it does with: {joined(sorted(few))}.")
    return Section("Known weak spots", text=text)


def _behind(slices: Mapping[str, Mapping[str, float]]) -> str | None:
    if not slices:
        return None
    best = max(slices, key=lambda name: slices[name][METRIC])
    weak = [name for name in slices if clearly_better(slices[best], slices[name])]
    if not weak:
        return None
    weak.sort(key=lambda name: slices[name][METRIC])
    said = joined([f"{wording.slice_name(n)} ({number(slices[n][METRIC])})" for n in weak])
    return (
        f"NDCG@10 is clearly lower with {said} than with {wording.slice_name(best)} "
        f"({number(slices[best][METRIC])})"
    )


def _data(split: Mapping[str, Any], origin: Origin) -> Section:
    rows = [
        ["Source", origin.source],
        ["Library", origin.library],
        ["Licence of the data", LICENCES.get(origin.source, UNKNOWN_LICENCE)],
        ["Readers", f"{split['readers']:,}"],
        ["Books", f"{split['books']:,}"],
        ["Ratings", f"{sum(split['rows'].values()):,}"],
        ["Quality score, of 100", f"{origin.quality_score:.1f}"],
        ["Fingerprint", origin.data_fingerprint],
        ["Code", origin.git_sha],
    ]
    return Section("Data", table=Table(["", ""], rows))


def _blend(blend: Mapping[str, Any]) -> Section:
    """The chart of the evaluation, with its numbers."""
    by_history = {int(low): w for low, w in blend["weights_by_history"].items()}
    kinds = wording.liked_books(sorted(by_history))
    parts = sorted(blend["weights"], key=lambda part: (-blend["weights"][part], part))
    shown = {"all": blend["weights"]} | {kinds[low]: by_history[low] for low in sorted(by_history)}
    rows = [[kind, *(percent(100 * w[part]) for part in parts)] for kind, w in shown.items()]
    return replace(weights(blend), table=Table(["Readers of", *parts], rows))


def _knobs(blend: Mapping[str, Any]) -> Section:
    rows = [
        [name, f"{float(knob):g}", number(ndcg), "yes" if float(knob) == blend[key] else ""]
        for key, name in (("damping", "Spread"), ("new_books", "New books"))
        for knob, ndcg in blend[f"ndcg_at_10_by_{key}"].items()
    ]
    return Section(
        "Damping",
        text=[
            f"Lists are spread over the catalogue by {blend['damping']:g}, of at most 1, so that "
            "books which suit many do not fill every list; books that nobody has met yet come in "
            f"by {blend['new_books']:g}. Both are as high as the price allows that was set for "
            "them, on validation rows."
        ],
        table=Table(["", "By", "NDCG@10", "Chosen"], rows, folded=True),
    )


def _training(seconds: Mapping[str, float]) -> Section:
    rows = [[name, f"{spent:,.1f}"] for name, spent in seconds.items()]
    rows.append(["all together", f"{sum(seconds.values()):,.1f}"])
    return Section(
        "Training",
        text=["On the machine that trained it, with tuning."],
        table=Table(["", "Seconds"], rows),
    )
