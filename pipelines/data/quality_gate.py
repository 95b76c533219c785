"""Whether a batch may be learnt from."""

from collections.abc import Sequence
from dataclasses import dataclass

from pipelines.data.drift import Drift, Level
from pipelines.data.quality_score import QualityScore


@dataclass(frozen=True)
class Verdict:
    """The gate's decision: reasons refuse, warnings only tell."""

    reasons: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def accepted(self) -> bool:
        return not self.reasons


@dataclass(frozen=True)
class QualityRules:
    """What a batch must keep."""

    minimum_score: float = 50.0
    minimum_kept_share: float = 0.5
    """Of the readers and of the books of the batch before; 0 where none of them need be there."""


def judge(
    score: QualityScore,
    drift: Drift | None,
    broken: Sequence[str],
    warnings: Sequence[str],
    rules: QualityRules,
) -> Verdict:
    """
    Decide about a batch.

    Args:
        score: Of the batch.
        drift: Against the previous accepted batch, if there is one.
        broken: Critical expectations that failed.
        warnings: The others that failed.
        rules: What to hold it to.
    """
    reasons, told = list(broken), list(warnings)
    if score.score < rules.minimum_score:
        reasons.append(
            f"the quality score is {score.score:g}, below {rules.minimum_score:g} "
            "(BOOKREC_QUALITY__MINIMUM_SCORE)"
        )
    if drift is not None:
        reasons += [*_lost(drift, rules), *_drifted(drift, "critical")]
        told += _drifted(drift, "warning")
    return Verdict(tuple(reasons), tuple(told))


def _lost(drift: Drift, rules: QualityRules) -> list[str]:
    vanished = {"readers": drift.readers.vanished, "books": drift.books.vanished}
    return [
        f"{share:.0%} of the {whose} of the batch before are gone: if that is meant, lower "
        "BOOKREC_QUALITY__MINIMUM_KEPT_SHARE for one run"
        for whose, share in vanished.items()
        if 1 - share < rules.minimum_kept_share
    ]


def _drifted(drift: Drift, level: Level) -> list[str]:
    advice = {"critical": ": if that is meant, raise BOOKREC_QUALITY__CRITICAL_PSI for one run"}
    return [
        f"{column.column} has drifted, PSI {column.psi:.2f}{advice.get(level, '')}"
        for column in drift.columns
        if column.level == level
    ]
