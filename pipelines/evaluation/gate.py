"""
Whether a challenger may become champion: frames in, a decision with its reasons out.

Both sides of a comparison must have answered for the same readers of the same holdout.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from pipelines.evaluation.bootstrap import Difference, paired_difference

METRIC = "ndcg_at_10"


@dataclass(frozen=True)
class GateRules:
    """What is asked of a challenger, in absolute NDCG@10."""

    min_gain_over_popularity: float = 0.0
    must_prove_gain: bool = True
    """
    False for a first model, whose rival is serving nothing: it must only not be proven worse, and
    by more than the blend may lose by chance where tastes differ in nothing but noise.
    """
    max_loss_of_first_model: float = 0.02
    max_loss_to_champion: float = 0.01
    """A challenger may be this much worse: it has learnt from newer data."""
    min_readers_for_interval: int = 30
    """With fewer held-out readers the mean decides, because an interval would say little."""


@dataclass(frozen=True)
class Check:
    """One comparison that the gate made."""

    name: str
    value: float
    threshold: float
    passed: bool
    reason: str


@dataclass(frozen=True)
class Decision:
    """What the gate decided; JSON-able through `dataclasses.asdict`."""

    accepted: bool
    reasons: tuple[str, ...]
    checks: tuple[Check, ...]


def decide(
    challenger: pd.DataFrame,
    popularity: pd.DataFrame,
    champion: pd.DataFrame | None,
    rules: GateRules,
    *,
    rng: np.random.Generator,
) -> Decision:
    """
    Accept the challenger if it passes every check.

    Args:
        challenger: `Evaluation.per_reader` of the new model.
        popularity: The same of the popularity baseline.
        champion: The same of the model now in service; None for a first model.
        rules: The thresholds.
        rng: For the paired bootstrap.

    Raises:
        ValueError: the frames are not of the same readers, or hold none.
    """
    few = rules.min_readers_for_interval
    least = (
        rules.min_gain_over_popularity if rules.must_prove_gain else -rules.max_loss_of_first_model
    )
    rivals = [("popularity", popularity, least, rules.must_prove_gain)]
    if champion is not None:
        rivals.append(("champion", champion, -rules.max_loss_to_champion, True))
    checks = tuple(
        _check_gain(name, _gain(challenger, rival, name, rng), threshold, few, proven=proven)
        for name, rival, threshold, proven in rivals
    )
    return Decision(all(c.passed for c in checks), tuple(c.reason for c in checks), checks)


def _gain(
    challenger: pd.DataFrame, rival: pd.DataFrame, name: str, rng: np.random.Generator
) -> Difference:
    a, b = _by_reader(challenger), _by_reader(rival)
    if not a.index.equals(b.index):
        raise ValueError(f"challenger and {name} must be measured on the same readers")
    return paired_difference(a.to_numpy(), b.to_numpy(), rng=rng)


def _check_gain(name: str, gain: Difference, threshold: float, few: int, *, proven: bool) -> Check:
    if gain.n < few and not proven:
        value, passed = gain.mean, bool(np.isfinite(gain.mean))
        measure = f"mean, as {gain.n} readers are too few to refuse a first model"
        relation = "over more readers at least"
    elif gain.n < few:
        value, passed = gain.mean, gain.mean >= threshold
        measure = f"mean, as {gain.n} readers are too few for an interval"
        relation = "at least"
    else:
        side, value = ("lower", gain.low) if proven else ("upper", gain.high)
        passed = value > threshold if proven else value >= threshold
        measure = f"{side} 95 % bound over {gain.n} readers, mean {gain.mean:+.4f}"
        relation = "above" if proven else "at least"
    verdict = "passed" if passed else "failed"
    reason = (
        f"{verdict}: {METRIC} gain over {name} is {value:+.4f} ({measure}), "
        f"must be {relation} {threshold:+.4f}"
    )
    return Check(f"gain_over_{name}", value, threshold, passed, reason)


def _by_reader(frame: pd.DataFrame) -> "pd.Series[float]":
    """The metric by user_num, ascending, so that frames pair whatever order they came in."""
    values = frame.set_index("user_num")[METRIC].sort_index()
    if not values.index.is_unique:
        raise ValueError("a frame holds a reader twice: give one row for each user_num")
    return values
