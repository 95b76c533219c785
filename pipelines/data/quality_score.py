"""
One number from 0 to 100 for a batch, made of parts that each say what they looked at.

Every part is a share of what is in order. A row counts in one part alone, and each part is
`kept / (kept + broken)`, so that a defect more lowers its own part and raises no other.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from pipelines.data.drift import Drift
from pipelines.data.profiling import Profile

WANTED = ("title", "authors", "year", "language", "genres", "isbn13", "description")
"""What a catalogue should tell of a book; that it stands in no series is no defect."""
PARTS_BY_PREFIX = {
    "missing_": "completeness",
    "duplicate_": "uniqueness",
    "unknown_": "consistency",
    "editions_": None,
}
"""Of quarantine rules; all others are about validity. Editions of one work are no defect."""
LOST_VALUES = ("_invalid", "_out_of_range")
"""Endings of the repairs that could not keep the value."""


@dataclass(frozen=True)
class Intake:
    """
    What became of the rows and values of a batch on its way in, all stages together.

    Attributes:
        set_aside: By dataset ("ratings", "books" …), then by rule, rows.
        repairs: By dataset, then by rule, values.
    """

    set_aside: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    repairs: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    def broken(self, part: str, dataset: str = "ratings") -> int:
        """Rows of a dataset that were set aside by the rules of one part."""
        rules = self.set_aside.get(dataset, {})
        return sum(count for rule, count in rules.items() if part_of(rule) == part)

    @property
    def lost_values(self) -> int:
        """Values of books that were nonsense and are null now."""
        return sum(n for rule, n in self.repairs.get("books", {}).items() if is_lost(rule))


@dataclass(frozen=True)
class Part:
    """One part of the score."""

    name: str
    share: float | None
    """0..1; None where nothing can be said, and then it does not count."""
    explanation: str


@dataclass(frozen=True)
class QualityScore:
    """The score, 0..100, and what it is made of."""

    score: float
    parts: tuple[Part, ...]
    weights: Mapping[str, float]


def is_lost(repair: str) -> bool:
    """Whether a repair could not keep the value."""
    return repair.endswith(LOST_VALUES)


def part_of(rule: str) -> str | None:
    """The part that a quarantine rule falls under; None for what is no defect."""
    return next((part for p, part in PARTS_BY_PREFIX.items() if rule.startswith(p)), "validity")


def quality_score(
    profile: Profile,
    intake: Intake,
    *,
    weights: Mapping[str, float],
    drift: Drift | None = None,
    age_days: float | None = None,
    half_life_days: float = 365.0,
) -> QualityScore:
    """
    Score a batch.

    Args:
        profile: What was kept.
        intake: What was not, or not as found.
        weights: By name of the part; those of parts that say nothing are shared out to the others.
        drift: Against the previous accepted batch, if there is one.
        age_days: Of the newest rating; None where times are unknown.
        half_life_days: After so long without a rating a batch is half as fresh.
    """
    parts = (
        _completeness(profile, intake),
        _validity(profile, intake),
        _uniqueness(profile, intake),
        _consistency(profile, intake),
        _freshness(age_days, half_life_days),
        _stability(drift),
    )
    known = [(weights[p.name], p.share) for p in parts if p.share is not None]
    total = sum(weight for weight, _ in known)
    score = sum(weight * share for weight, share in known) / total if total else 0.0
    return QualityScore(round(100 * score, 2), parts, dict(weights))


def _completeness(profile: Profile, intake: Intake) -> Part:
    rows = _kept(profile.ratings, intake.broken("completeness"))
    untitled = intake.repairs.get("books", {}).get("title_missing", 0)
    filled = [1 - profile.columns[name].missing_share for name in WANTED if name in profile.columns]
    fields = (sum(filled) - untitled / max(profile.books, 1)) / len(WANTED)
    told = (
        f"{rows:.1%} of the ratings name both reader and book; of what a catalogue should tell "
        f"of a book (title, authors, year, language, genres, ISBN, description) "
        f"{max(fields, 0.0):.1%} is filled in."
    )
    return Part("completeness", (rows + max(fields, 0.0)) / 2, told)


def _validity(profile: Profile, intake: Intake) -> Part:
    rows = _kept(profile.ratings, intake.broken("validity"))
    lost = intake.broken("validity", "books") + intake.lost_values
    books = _kept(profile.books, lost)
    told = (
        f"{intake.broken('validity'):,} ratings could not be read or lie off the scale; "
        f"{lost:,} books or values of books were nonsense."
    )
    return Part("validity", (rows + books) / 2, told)


def _uniqueness(profile: Profile, intake: Intake) -> Part:
    pairs, books = intake.broken("uniqueness"), intake.broken("uniqueness", "books")
    share = (_kept(profile.ratings, pairs) + _kept(profile.books, books)) / 2
    told = f"{pairs:,} ratings and {books:,} books came again; the last of each counts."
    return Part("uniqueness", share, told)


def _consistency(profile: Profile, intake: Intake) -> Part:
    unknown = intake.broken("consistency")
    told = f"{unknown:,} ratings are of books that the catalogue does not have."
    return Part("consistency", _kept(profile.ratings, unknown), told)


def _freshness(age_days: float | None, half_life_days: float) -> Part:
    if age_days is None:
        return Part("freshness", None, "The data do not say when books were rated.")
    share = float(0.5 ** (max(age_days, 0.0) / half_life_days))
    told = f"The newest rating is {max(age_days, 0.0):,.0f} days old."
    return Part("freshness", share, told)


def _stability(drift: Drift | None) -> Part:
    if drift is None:
        return Part("stability", None, "There is no earlier batch to compare with.")
    moved = [c.column for c in drift.columns if c.level != "steady"]
    kept = (1 - drift.readers.vanished, 1 - drift.books.vanished)
    calm = [float(np.exp(-c.psi)) if c.level != "steady" else 1.0 for c in drift.columns]
    told = (
        f"{len(moved)} of {len(drift.columns)} columns have moved since the batch before"
        f"{': ' + ', '.join(moved) if moved else ''}; {drift.readers.vanished:.1%} of its readers "
        f"and {drift.books.vanished:.1%} of its books are gone."
    )
    return Part("stability", float(np.mean([*kept, *calm])), told)


def _kept(kept: int, broken: int) -> float:
    """The share that is in order; an empty table has nothing out of order."""
    return kept / (kept + broken) if kept + broken else 1.0
