"""
Hyperparameters chosen on validation rows, within a budget of time.

The readers are halved by chance. Trials are ranked by the one half, and the best of them takes the
place of the defaults only where the other half, which had no part in choosing it, finds it better
with 95 % confidence. That is one test, so the best of many trials does not win by having been lucky
on the readers it was chosen by [Cawley & Talbot 2010, JMLR 11:2079]: a model whose hyperparameters
do not matter keeps its defaults, however many trials are made.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import structlog
from threadpoolctl import threadpool_limits

from pipelines.errors import BookrecError
from pipelines.evaluation import metrics
from pipelines.evaluation.bootstrap import Difference, paired_difference
from pipelines.evaluation.protocol import Holdout
from pipelines.models.base import Choice, Range, Recommender, SearchSpace

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.distributions import BaseDistribution
    from optuna.samplers import BaseSampler
    from optuna.trial import FrozenTrial

log = structlog.get_logger()

CUTOFF = 10
BATCHES = 4
"""After each of them a trial that is clearly behind is given up."""
MIN_READERS_TO_PRUNE = 30
MIN_READERS = 60
"""Each half needs enough of them for an interval to mean something."""
STARTUP_TRIALS = 6
"""Drawn by chance before the sampler (TPE) has something to go by; the defaults are one of them."""
CONFIDENCE = 0.9
"""Two-sided, so that the lower bound of the gain leaves 5 % below it."""
PATIENCE = 4
"""Trials without a new leader after which more are not worth their time; one more for each name."""
FAILURES = (BookrecError, ArithmeticError, ValueError, RuntimeError, MemoryError)
"""What models raise where hyperparameters do not work out; LinAlgError is a ValueError."""

DEFAULT, SECONDS, CHOOSING, CONFIRMING = "default", "seconds", "choosing", "confirming"
"""What is kept of a trial beside what Optuna keeps; NDCG@10 by reader of leaders alone."""

Params = Mapping[str, Any]
Fit = Callable[[Params], Recommender]
"""Gives a fitted model; must give the same one for the same hyperparameters."""


@dataclass(frozen=True)
class Limits:
    """What a study may cost; the first trial, that of the defaults, always completes."""

    seconds: float
    max_trials: int


@dataclass(frozen=True)
class TrialResult:
    """What came of one trial."""

    number: int
    params: dict[str, Any]
    state: str
    """complete, pruned or fail."""
    ndcg_at_10: float | None
    """Over the readers who choose; for a pruned trial, over those asked until then."""
    seconds: float
    started_at: datetime


@dataclass(frozen=True)
class Tuning:
    """What a study chose, and why."""

    params: dict[str, Any]
    chosen: int | None
    """The number of the chosen trial; None where all have failed, and the defaults stand."""
    is_changed: bool
    """Whether that is another than the trial of the defaults."""
    model: Recommender | None
    """The chosen one as it was fitted, where that was in this process."""
    gain: Difference | None
    """By how much the best trial beats the defaults, over the readers who confirm."""
    default_ndcg_at_10: float | None
    best_ndcg_at_10: float | None
    """Over the readers who confirm, so that neither is too kind."""
    trials: tuple[TrialResult, ...]
    seconds: float


def tune(
    study: "Study",
    fit: Fit,
    space: SearchSpace,
    defaults: Params,
    readers: Holdout,
    limits: Limits,
    *,
    rng: np.random.Generator,
) -> Tuning:
    """
    Try hyperparameters until a limit is met, or nothing better has come for some trials.

    Args:
        study: A new one, or one to continue: its trials and their seconds count.
        fit: Learns from training rows alone.
        space: Not empty; bounds are widened to hold the defaults.
        defaults: The values to beat, of every name in `space`.
        readers: At least `MIN_READERS`, with what they have to find among validation rows.
        limits: No trial begins that would end beyond them if it took as long as the longest so far.
        rng: Halves the readers and seeds the sampler, so that a continued study stays the same.
    """
    chosen_by = rng.permutation(len(readers))[: len(readers) // 2]
    halves = np.isin(np.arange(len(readers)), chosen_by)
    search = _Search(
        study,
        fit,
        _distributions(space, defaults),
        defaults,
        choosing=_part(readers, halves),
        confirming=_part(readers, ~halves),
        seed=int(rng.integers(2**31)),
    )
    search.run(limits)
    return _verdict(_Standing.of(study), search.models, defaults, rng)


@dataclass(frozen=True)
class _Standing:
    """What the finished trials of a study amount to."""

    trials: list["FrozenTrial"]
    leader: "FrozenTrial | None"
    """The complete trial with the highest mean; the earliest of equals."""
    default: "FrozenTrial | None"
    """That of the defaults, if it was not killed."""

    @classmethod
    def of(cls, study: "Study") -> "_Standing":
        trials = [t for t in study.get_trials(deepcopy=False) if t.state.is_finished()]
        complete = [t for t in trials if t.state.name == "COMPLETE"]
        defaults = (t for t in trials if DEFAULT in t.user_attrs and SECONDS in t.user_attrs)
        leader = max(complete, key=lambda t: (t.value, -t.number), default=None)
        return cls(trials, leader, next(defaults, None))

    @property
    def longest(self) -> float:
        return max((t.user_attrs.get(SECONDS, 0.0) for t in self.trials), default=0.0)

    @property
    def seconds(self) -> float:
        """A killed trial could not tell its time and is taken for the longest."""
        return float(sum(t.user_attrs.get(SECONDS, self.longest) for t in self.trials))

    def leaves_room(self, limits: Limits, patience: int) -> bool:
        """Whether another trial may begin."""
        if self.default is None:
            return True
        led_since = self.leader.number if self.leader else -1
        return (
            len(self.trials) < limits.max_trials
            and self.seconds + self.longest <= limits.seconds
            and sum(t.number > led_since for t in self.trials) < patience
        )


@dataclass
class _Search:
    """A study at work."""

    study: "Study"
    fit: Fit
    distributions: dict[str, "BaseDistribution"]
    defaults: Params
    choosing: Holdout
    confirming: Holdout
    seed: int
    models: dict[int, Recommender] = field(default_factory=dict)
    """Of the defaults and of the leader, by trial."""

    def run(self, limits: Limits) -> None:
        from optuna.trial import TrialState

        for killed in self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            self.study.tell(killed.number, state=TrialState.FAIL)
        waiting = self.study.get_trials(deepcopy=False, states=(TrialState.WAITING,))
        if not waiting and _Standing.of(self.study).default is None:
            self.study.enqueue_trial(dict(self.defaults), {DEFAULT: True})
        patience = PATIENCE + len(self.distributions)
        while (standing := _Standing.of(self.study)).leaves_room(limits, patience):
            self._try_next(standing)

    def _try_next(self, standing: _Standing) -> None:
        from optuna.trial import TrialState

        self.study.sampler = self._sampler(len(standing.trials))
        trial = self.study.ask(self.distributions)
        began = time.perf_counter()
        state, value = TrialState.FAIL, None
        try:
            value = self._measured(trial, standing)
            state = TrialState.PRUNED if value is None else TrialState.COMPLETE
        except FAILURES as error:
            log.info("trial_failed", trial=trial.number, reason=str(error), params=trial.params)
        trial.set_user_attr(SECONDS, round(time.perf_counter() - began, 3))
        self.study.tell(trial, value, state)

    def _sampler(self, n_trials: int) -> "BaseSampler":
        """Seeded by the number of trials too: a continued study must not draw the same again."""
        from optuna.samplers import TPESampler

        seed = np.random.SeedSequence([self.seed, n_trials]).generate_state(1)[0]
        return TPESampler(n_startup_trials=STARTUP_TRIALS, seed=int(seed))

    def _measured(self, trial: "Trial", standing: _Standing) -> float | None:
        """The mean NDCG@10 of those who choose; None where it is clearly behind the leader."""
        model, leader = self.fit(trial.params), standing.leader
        best = None if leader is None else np.array(leader.user_attrs[CHOOSING])
        ndcg = np.full(len(self.choosing), np.nan)
        for start in range(BATCHES):
            ndcg[start::BATCHES] = _ndcg(model, _part(self.choosing, slice(start, None, BATCHES)))
            asked = np.isfinite(ndcg)
            if best is not None and _is_behind(ndcg[asked] - best[asked]):
                trial.report(float(ndcg[asked].mean()), int(asked.sum()))
                return None
        mean = float(ndcg.mean())
        if leader is None or mean > (leader.value or 0.0):
            trial.set_user_attr(CHOOSING, ndcg.round(6).tolist())
            trial.set_user_attr(CONFIRMING, _ndcg(model, self.confirming).round(6).tolist())
            self._keep(model, trial.number, standing.default)
        return mean

    def _keep(self, model: Recommender, number: int, default: "FrozenTrial | None") -> None:
        kept = {n: m for n, m in self.models.items() if default and n == default.number}
        self.models = kept | {number: model}


def _verdict(
    standing: _Standing,
    models: Mapping[int, Recommender],
    defaults: Params,
    rng: np.random.Generator,
) -> Tuning:
    leader, default = standing.leader, standing.default
    best, base = _confirmed(leader), _confirmed(default)
    gain = None
    if best is not None and base is not None:
        gain = paired_difference(best, base, rng=rng, confidence=CONFIDENCE)
    # Where the defaults themselves have failed, whatever works is better.
    chosen = default if gain is not None and gain.low <= 0 else leader
    if chosen is None:
        log.warning("tuning_failed", trials=len(standing.trials), outcome="defaults are kept")
    return Tuning(
        params=dict(defaults if chosen is None else chosen.params),
        chosen=None if chosen is None else chosen.number,
        is_changed=chosen is not default and chosen is not None,
        model=None if chosen is None else models.get(chosen.number),
        gain=gain,
        default_ndcg_at_10=None if base is None else float(base.mean()),
        best_ndcg_at_10=None if best is None else float(best.mean()),
        trials=tuple(_result(trial) for trial in standing.trials),
        seconds=standing.seconds,
    )


def _confirmed(trial: "FrozenTrial | None") -> metrics.PerReader | None:
    """What the readers who confirm say of a trial that has led."""
    if trial is None or CONFIRMING not in trial.user_attrs:
        return None
    return np.array(trial.user_attrs[CONFIRMING])


def _result(trial: "FrozenTrial") -> TrialResult:
    began = trial.datetime_start or datetime.now(UTC)
    return TrialResult(
        number=trial.number,
        params=dict(trial.params),
        state=trial.state.name.lower(),
        ndcg_at_10=trial.value,
        seconds=trial.user_attrs.get(SECONDS, 0.0),
        started_at=began.astimezone(UTC),
    )


def _ndcg(model: Recommender, readers: Holdout) -> metrics.PerReader:
    # One reader at a time is too little work for the threads of a BLAS: they slow it down.
    with threadpool_limits(1, "blas"):
        ranked = model.recommend(readers.histories, CUTOFF)
    n_relevant = np.array([len(relevant) for relevant in readers.relevant])
    return metrics.ndcg(metrics.hit_matrix(ranked, readers.relevant, CUTOFF), n_relevant)


def _is_behind(differences: metrics.PerReader) -> bool:
    """Whether readers put a trial behind the leader by more than two standard errors."""
    if len(differences) < MIN_READERS_TO_PRUNE:
        return False
    error = differences.std() / np.sqrt(len(differences))
    return bool(differences.mean() + 2 * error < 0)


def _part(readers: Holdout, chosen: npt.NDArray[np.bool_] | slice) -> Holdout:
    at = np.arange(len(readers))[chosen]
    return Holdout(
        [readers.histories[i] for i in at],
        [readers.relevant[i] for i in at],
        readers.user_nums[at],
    )


def _distributions(space: SearchSpace, defaults: Params) -> dict[str, "BaseDistribution"]:
    return {name: _distribution(values, defaults[name]) for name, values in space.items()}


def _distribution(values: Range | Choice, default: Any) -> "BaseDistribution":
    from optuna.distributions import (
        CategoricalDistribution,
        FloatDistribution,
        IntDistribution,
    )

    if isinstance(values, Choice):
        return CategoricalDistribution(tuple(dict.fromkeys((*values.values, default))))
    low, high = min(values.low, default), max(values.high, default)
    if values.integer:
        return IntDistribution(int(low), int(high), log=values.log)
    return FloatDistribution(low, high, log=values.log)
