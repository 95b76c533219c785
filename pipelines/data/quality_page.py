"""The report on a batch, for whoever looks after the library: what came in, and can it be used."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import numpy as np

from pipelines.data.anomalies import FlaggedReader
from pipelines.data.distributions import Numbers
from pipelines.data.drift import ColumnDrift, Drift
from pipelines.data.profiling import Profile
from pipelines.data.quality_gate import Verdict
from pipelines.data.quality_score import Intake, QualityScore, is_lost
from pipelines.pages.charts import Estimate, bars, histogram, lines
from pipelines.pages.page import Chart, Page, Section, Table

MOST_FLAGGED = 50
"""Readers shown; all of them lie in `flagged_readers.json`."""
FEW_RATINGS = 12
"""So many different ratings have a bar each."""
CURVE = range(0, 101, 5)
REASONS = {
    "rate_burst": "very many ratings on one day",
    "constant_rater": "always the same rating",
    "rates_everything": "rates nearly every book",
}


@dataclass(frozen=True)
class Findings:
    """All that was found out about a batch."""

    profile: Profile
    intake: Intake
    flagged: Sequence[FlaggedReader]
    drift: Drift | None
    compared_with: str | None
    """The run whose batch it was compared with."""
    score: QualityScore
    verdict: Verdict


def quality_page(
    found: Findings, *, run_id: str, label: str, when: datetime, links: Mapping[str, str]
) -> Page:
    """
    Lay out the report.

    Args:
        found: What it tells.
        run_id: Of the batch.
        label: One line on what the data are.
        when: The batch was looked at, in UTC.
        links: Where to read on, relative to the page.
    """
    sections = (
        _verdict(found),
        _intake(found, label),
        _habits(found.profile),
        _gaps(found.profile),
        _drift(found),
        _flagged(found.flagged),
        Section("Read on", links=links),
    )
    return Page("Data quality", run_id, when, sections)


def _verdict(found: Findings) -> Section:
    score, verdict = found.score, found.verdict
    told = "is accepted" if verdict.accepted else "is refused: nothing is stored or learnt from it"
    parts = {p.name: p.share for p in score.parts if p.share is not None}
    drawn = {"score": Estimate(score.score)} | {n: Estimate(100 * s) for n, s in parts.items()}
    picture = Chart(
        "Quality score",
        "The parts, and the whole that they make up by their weights; 100 is best.",
        bars(drawn, label="of 100", accent="score"),
    )
    rows = [
        (p.name, _percent(p.share), f"{score.weights[p.name]:g}", p.explanation)
        for p in score.parts
    ]
    return Section(
        "Verdict",
        text=[
            f"This batch scores {score.score:.1f} of 100 and {told}.",
            *(f"Refused because: {reason}." for reason in verdict.reasons),
            *(f"Note: {warning}." for warning in verdict.warnings),
        ],
        charts={"quality_score": picture},
        table=Table(("Part", "In order", "Weight", "What was looked at"), rows),
    )


def _intake(found: Findings, label: str) -> Section:
    profile, aside = found.profile, found.intake.set_aside
    n_aside = {name: sum(aside.get(name, {}).values()) for name in ("ratings", "books")}
    text = [
        f"The source: {label}.",
        f"{profile.ratings + n_aside['ratings']:,} ratings came in; {profile.ratings:,} were kept, "
        f"of {profile.readers:,} readers on {profile.books:,} books.",
    ]
    rows = [
        (_words(rule), name, f"{count:,}", "set aside")
        for name, rules in aside.items()
        for rule, count in sorted(rules.items(), key=lambda item: -item[1])
    ] + [
        (_words(rule), name, f"{count:,}", "emptied" if is_lost(rule) else "mended")
        for name, rules in found.intake.repairs.items()
        for rule, count in sorted(rules.items(), key=lambda item: -item[1])
    ]
    if not rows:
        return Section("What came in", text=[*text, "Nothing had to be mended or set aside."])
    return Section("What came in", text, table=Table(("Rule", "Of", "Rows", "They were"), rows))


def _habits(profile: Profile) -> Section:
    charts = {"activity": _curves(profile)} if profile.activity and profile.popularity else {}
    if profile.numbers("rating").filled:
        charts["ratings"] = _rating_chart(profile.numbers("rating"))
    if len(profile.months) > 1:
        charts["months"] = _month_chart(profile.months)
    return Section("How readers rate", charts=charts)


def _curves(profile: Profile) -> Chart:
    curves = {
        name: {float(x): Estimate(100 * curve[x]) for x in CURVE}
        for name, curve in (("readers", profile.activity), ("books", profile.popularity))
    }
    says = (
        f"The most active tenth of the readers gave {profile.activity[10]:.0%} of the ratings; "
        f"the most rated tenth of the books got {profile.popularity[10]:.0%}."
    )
    axes = ("the first … % of readers, of books", "% of all ratings")
    return Chart("Activity and popularity", says, lines(curves, labels=axes))


def _rating_chart(ratings: Numbers) -> Chart:
    says = f"{ratings.filled:,} ratings, {ratings.mean or 0:.2f} in the mean."
    if ratings.exact and len(ratings.points) <= FEW_RATINGS:
        counts = np.diff(ratings.cumulative, prepend=0.0) * ratings.filled
        drawn = {f"{p:g}": Estimate(c) for p, c in zip(ratings.points, counts, strict=True)}
        return Chart("Ratings", says, bars(drawn, label="ratings"))
    edges = np.linspace(ratings.points[0], ratings.points[-1], 21)
    inside = np.diff(ratings.share_up_to(edges)) * ratings.filled
    counts = inside.round().astype(int).tolist()
    drawn_wide = histogram(counts, edges.tolist(), labels=("rating", "ratings given"))
    return Chart("Ratings", says, drawn_wide)


def _month_chart(months: Mapping[str, int]) -> Chart:
    first, last = (np.datetime64(month, "M") for month in (min(months), max(months)))
    names = np.arange(first, last + 1).astype(str).tolist()
    drawn = {float(at): Estimate(float(months.get(name, 0))) for at, name in enumerate(names)}
    ticks = {float(at): names[at] for at in (0, len(names) // 2, len(names) - 1)}
    picture = lines({"ratings": drawn}, labels=("month", "ratings"), ticks=ticks)
    return Chart("Ratings in each month", f"From {names[0]} to {names[-1]}.", picture)


def _gaps(profile: Profile) -> Section:
    missing = {n: 100 * c.missing_share for n, c in profile.columns.items() if c.filled + c.missing}
    gaps = {_words(name): Estimate(share) for name, share in missing.items() if share}
    if not gaps:
        return Section("Gaps", text=["No value is missing anywhere."])
    picture = Chart(
        "Missing values",
        "How many ratings or books lack the value; columns without a gap are left out.",
        bars(gaps, label="% missing"),
    )
    return Section("Gaps", charts={"gaps": picture})


def _drift(found: Findings) -> Section:
    if found.drift is None:
        return Section(
            "Against the batch before", text=["There is no earlier batch of these data."]
        )
    drift = found.drift
    text = [
        f"Compared with run {found.compared_with}, whose batch was stored last. It has "
        f"{drift.rows_share:.0%} of that batch's ratings; {drift.readers.new:.1%} of the readers "
        f"and {drift.books.new:.1%} of the books are new, {drift.readers.vanished:.1%} and "
        f"{drift.books.vanished:.1%} are gone.",
        "The stability index (PSI) tells how much the shares of values have moved: below 0.1 "
        "hardly, above 0.25 much. The distance (KS) is the largest gap between the two "
        "distributions.",
    ]
    header = ("Column", "Moved", "PSI", "Distance", "Compared")
    rows = [_drift_row(column) for column in sorted(drift.columns, key=lambda c: -c.psi)]
    return Section("Against the batch before", text, table=Table(header, rows))


def _drift_row(column: ColumnDrift) -> tuple[str, ...]:
    moved = {"steady": "no", "warning": "yes", "critical": "far too much"}[column.level]
    distance = "" if column.ks is None else f"{column.ks:.3f}"
    told = {"values": "values", "summary": "values, roughly", "gaps": "gaps only"}[column.basis]
    return _words(column.column), moved, f"{column.psi:.3f}", distance, told


def _flagged(flagged: Sequence[FlaggedReader]) -> Section:
    title = "Readers worth a look"
    if not flagged:
        return Section(title, text=["No reader stands out."])
    text = [
        f"{len(flagged):,} stand out. That proves nothing: a burst may be a whole shelf that was "
        "entered in one evening. Nothing of theirs was dropped."
    ]
    rows = [(str(f.user_id), REASONS[f.reason], _numbers(f)) for f in flagged[:MOST_FLAGGED]]
    return Section(title, text, table=Table(("Reader", "Why", "Numbers"), rows))


def _numbers(flag: FlaggedReader) -> str:
    told = flag.numbers
    if flag.reason == "rate_burst":
        day = date(1970, 1, 1) + timedelta(days=told["day"])
        return (
            f"{told['ratings']:,} ratings on {day}; usually {told['own_usual_day']:g} a day, "
            f"and on a busy day others give {told['busy_day_of_others']:g}"
        )
    if flag.reason == "constant_rater":
        return f"{told['ratings']:,} ratings, all of them {told['rating']:g}"
    return f"{told['ratings']:,} of {told['books']:,} rated books"


def _percent(share: float | None) -> str:
    return "unknown" if share is None else f"{share:.1%}"


def _words(name: str) -> str:
    return name.replace("_", " ")
