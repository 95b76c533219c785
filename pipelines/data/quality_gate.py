"""Whether a batch may be learnt from."""

from collections.abc import Sequence
from dataclasses import dataclass

from pipelines.data.drift import Drift
from pipelines.data.quality_score import QualityScore


@dataclass(frozen=True)
class Verdict:
    """The gate's decision: reasons refuse, warnings only tell."""

    reasons: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def accepted(self) -> bool:
        return not self.reasons


def judge(
    score: QualityScore,
    drift: Drift | None,
    broken: Sequence[str],
    warnings: Sequence[str],
    *,
    minimum_score: float,
) -> Verdict:
    """
    Decide about a batch.

    Args:
        score: Of the batch.
        drift: Against the previous accepted batch, if there is one.
        broken: Critical expectations that failed.
        warnings: The others that failed.
        minimum_score: A lower one refuses the batch.
    """
    reasons, told = list(broken), list(warnings)
    if score.score < minimum_score:
        reasons.append(
            f"the quality score is {score.score:g}, below {minimum_score:g} "
            "(BOOKREC_QUALITY__MINIMUM_SCORE)"
        )
    for column in drift.columns if drift else ():
        if column.level == "critical":
            reasons.append(
                f"{column.column} has drifted, PSI {column.psi:.2f}: if that is meant, raise "
                "BOOKREC_QUALITY__CRITICAL_PSI for one run"
            )
        elif column.level == "warning":
            told.append(f"{column.column} has drifted, PSI {column.psi:.2f}")
    return Verdict(tuple(reasons), tuple(told))
