"""
Whether a challenger may become champion: what was measured in, a decision with its reasons out.

A fall is only held against a challenger where chance does not explain it: a gain must be above its
floor by the lower bound of its interval, a slice must be below its tolerance by the upper one.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pipelines.evaluation.bootstrap import Difference
from pipelines.evaluation.rival import AgainstChampion, NotCompared
from pipelines.pipeline_settings import GateSettings

METRIC = "ndcg_at_10"
SLICE = "slice_"
"""What checks of slices are called before the name of the slice."""


@dataclass(frozen=True)
class Evidence:
    """What is known of a challenger."""

    over_popularity: Difference
    """Of NDCG@10."""
    quality_score: float
    """Of the data it learnt from, 0 to 100."""
    champion: AgainstChampion | NotCompared | None = None
    """None where there is no champion, or one that has to go whatever comes after it."""
    defect: str | None = None
    """Why it cannot be served."""
    overtaken: str | None = None
    """Which other champion than the one it was compared with there is by now."""


@dataclass(frozen=True)
class Check:
    """One rule, held against the challenger."""

    name: str
    value: float | None
    threshold: float | None
    passed: bool
    reason: str
    interval: Difference | None = None


@dataclass(frozen=True)
class Decision:
    """What the gate decided; JSON-able through `dataclasses.asdict`."""

    accepted: bool
    reasons: tuple[str, ...]
    """Of every check, but of slices that passed one for all."""
    checks: tuple[Check, ...]
    champion: int | None
    """The version that it was held against."""
    rules: dict[str, Any] = field(default_factory=dict)
    """The settings as they were."""


def decide(evidence: Evidence, rules: GateSettings) -> Decision:
    """Accept the challenger if it passes every check."""
    checks = tuple(_checks(evidence, rules))
    against = evidence.champion
    return Decision(
        accepted=all(check.passed for check in checks),
        reasons=tuple(_reasons(checks)),
        checks=checks,
        champion=None if against is None else against.version,
        rules=rules.model_dump(),
    )


def _checks(evidence: Evidence, rules: GateSettings) -> Iterator[Check]:
    against = evidence.champion
    yield _over_popularity(evidence.over_popularity, rules, is_first=against is None)
    if isinstance(against, AgainstChampion):
        yield _gain("champion", against.gain, rules.minimum_gain, rules)
        yield from _slices(against.slices, rules)
        yield _coverage(against, rules)
        yield _latency(against, rules)
    elif against is not None:
        yield _not_compared(against, rules)
    score, least = evidence.quality_score, rules.minimum_quality_score
    told = f"the data's quality score is {score:.1f}, must be at least {least:.1f}"
    yield _check("data_quality", score, least, told, passed=score >= least)
    if evidence.defect is not None:
        yield _check("servable", None, None, evidence.defect, passed=False)
    if evidence.overtaken is not None:
        yield _check("champion_stayed", None, None, evidence.overtaken, passed=False)


def _reasons(checks: tuple[Check, ...]) -> Iterator[str]:
    slices = [check for check in checks if check.name.startswith(SLICE)]
    yield from (check.reason for check in checks if check not in slices or not check.passed)
    if slices and all(check.passed for check in slices):
        yield f"passed: none of {len(slices)} kinds of readers and books is proven to lose too much"


def _over_popularity(gain: Difference, rules: GateSettings, *, is_first: bool) -> Check:
    """
    The gain over popularity; a first model has no rival but serving nothing.

    It must only not be proven worse, and by more than a blend may lose by chance where tastes
    differ in nothing but noise.
    """
    if not is_first:
        return _gain("popularity", gain, rules.minimum_gain_over_popularity, rules)
    least = -rules.first_model_tolerance
    if gain.n < rules.minimum_readers:
        measure = f"mean, as {gain.n} readers are too few to refuse a first model"
        told = _gained("popularity", gain.mean, measure, "over more readers at least", least)
        passed = bool(np.isfinite(gain.mean))
        return _check("gain_over_popularity", gain.mean, least, told, passed=passed, interval=gain)
    told = _gained("popularity", gain.high, _bound("upper", gain), "at least", least)
    passed = gain.high >= least
    return _check("gain_over_popularity", gain.high, least, told, passed=passed, interval=gain)


def _gain(rival: str, gain: Difference, floor: float, rules: GateSettings) -> Check:
    name = f"gain_over_{rival}"
    if gain.n < rules.minimum_readers:
        measure = f"mean, as {gain.n} readers are too few for an interval"
        told = _gained(rival, gain.mean, measure, "at least", floor)
        return _check(name, gain.mean, floor, told, passed=gain.mean >= floor, interval=gain)
    told = _gained(rival, gain.low, _bound("lower", gain), "above", floor)
    return _check(name, gain.low, floor, told, passed=gain.low > floor, interval=gain)


def _slices(slices: Mapping[str, Difference], rules: GateSettings) -> Iterator[Check]:
    """Those of enough readers: of many slices of a few, one always loses by chance."""
    for name, change in slices.items():
        if change.n < rules.minimum_readers:
            continue
        floor = -rules.slice_tolerances.get(name, rules.slice_tolerance)
        told = (
            f"{METRIC} of {name} changes by {change.high:+.4f} ({_bound('upper', change)}), "
            f"must be at least {floor:+.4f}"
        )
        passed = change.high >= floor
        yield _check(f"{SLICE}{name}", change.high, floor, told, passed=passed, interval=change)


def _coverage(against: AgainstChampion, rules: GateSettings) -> Check:
    share, least = against.coverage_at_10.ratio, rules.minimum_coverage_share
    told = (
        f"lists of 10 show {against.coverage_at_10.challenger:.1%} of the books, "
        f"{share:.2f} of the champion's share, must be at least {least:.2f}"
    )
    return _check("coverage", share, least, told, passed=share >= least)


def _latency(against: AgainstChampion, rules: GateSettings) -> Check:
    found, most = against.milliseconds, rules.maximum_latency_ratio
    told = (
        f"a list takes {found.challenger:.2f} ms, {found.ratio:.2f} times as long as the "
        f"champion's, must be at most {most:.2f} times or {rules.unnoticed_milliseconds:g} ms"
    )
    passed = found.challenger <= rules.unnoticed_milliseconds or found.ratio <= most
    return _check("latency", found.ratio, most, told, passed=passed)


def _not_compared(against: NotCompared, rules: GateSettings) -> Check:
    told = f"not compared with the champion, version {against.version}: {against.reason}"
    passed = not rules.require_comparison
    return _check("champion_compared", None, None, told, passed=passed)


def _bound(side: str, gain: Difference) -> str:
    return f"{side} 95 % bound over {gain.n} readers, mean {gain.mean:+.4f}"


def _gained(rival: str, value: float, measure: str, relation: str, floor: float) -> str:
    return (
        f"{METRIC} gain over {rival} is {value:+.4f} ({measure}), must be {relation} {floor:+.4f}"
    )


def _check(
    name: str,
    value: float | None,
    threshold: float | None,
    told: str,
    *,
    passed: bool,
    interval: Difference | None = None,
) -> Check:
    verdict = "passed" if passed else "failed"
    return Check(name, value, threshold, bool(passed), f"{verdict}: {told}", interval)
