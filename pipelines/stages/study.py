"""The study of one model's hyperparameters in a run: its share of the budget, and its records."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import structlog

from pipelines.data.dataset import Dataset
from pipelines.data.splits import Part
from pipelines.evaluation.protocol import holdout
from pipelines.evaluation.tuning import MIN_READERS, Fit, Limits, Tuning, tune
from pipelines.models.base import SearchSpace
from pipelines.models.factory import create
from pipelines.registry import PIPELINE_RUN, Trial
from pipelines.settings import Settings
from pipelines.stages.run_context import RunContext, Summary, git_sha
from pipelines.storage.studies import open_study

log = structlog.get_logger()

SAMPLE = "sample"
SAMPLE_SECONDS = 16.0
"""The most for the built-in data: they are there to look around in, and nobody should wait long."""


def fixed(settings: Settings, model: str) -> dict[str, Any]:
    """The hyperparameters that settings give and tuning leaves alone."""
    return dict(settings.hyperparameters.get(model, {}))


def tuned(ctx: RunContext, model: str, dataset: Dataset, fit: Fit) -> Tuning | None:
    """
    Choose hyperparameters on validation rows, and record each trial in MLflow.

    A study belongs to a run id and to all that its trials depend on, so a task that is tried again
    continues it, and one whose inputs have changed begins another.

    Args:
        ctx: The run.
        model: Which one.
        dataset: Its test rows are not looked at.
        fit: Learns from training rows alone; given what differs from the defaults and `fixed`.

    Returns:
        None where there is no budget, nothing to tune, or too few readers to tune by.
    """
    limits, space = _limits(ctx), _space(ctx.settings, model)
    if not limits.seconds or not space:
        return None
    readers = holdout(
        dataset.interactions(Part.TRAIN),
        dataset.interactions(Part.VALIDATION),
        max_readers=ctx.settings.tuning.max_readers,
        rng=ctx.rng("tuning readers"),
    )
    if len(readers) < MIN_READERS:
        log.info("tuning_skipped", reason=f"{len(readers)} validation readers are too few")
        return None
    defaults = _defaults(ctx.settings, model, space)
    name = _study_name(ctx, model, space, defaults)
    with open_study(ctx.settings.known_database_url, name) as study:
        # The same randomness for all models: the same readers choose and confirm.
        tuning = tune(study, fit, space, defaults, readers, limits, rng=ctx.rng("tuning"))
    tags = {**ctx.tags(), PIPELINE_RUN: ctx.run_id}
    ctx.registry.record_trials(model, name, _recorded(tuning), tags)
    return tuning


def told(tuning: Tuning | None) -> Summary:
    """What the summary of a stage says of a study; of its values, none that chose the best."""
    if tuning is None:
        return {"tuned": False, "trials": 0, "seconds": 0.0}
    return {
        "tuned": tuning.is_changed,
        "trials": len(tuning.trials),
        "seconds": round(tuning.seconds, 3),
        "default_ndcg_at_10": tuning.default_ndcg_at_10,
        "best_ndcg_at_10": tuning.best_ndcg_at_10,
        "gain_low": tuning.gain.low if tuning.gain else None,
    }


def _limits(ctx: RunContext) -> Limits:
    """Equal shares: models may be trained at the same time, and cannot pass on what is left."""
    settings = ctx.settings
    sharing = sum(bool(_space(settings, model)) for model in settings.models)
    budget = settings.tuning.budget_seconds
    if ctx.params.source == SAMPLE:
        budget = min(budget, SAMPLE_SECONDS)
    return Limits(budget / max(sharing, 1), settings.tuning.max_trials)


def _space(settings: Settings, model: str) -> SearchSpace:
    given = fixed(settings, model)
    space = type(create(model, **given)).search_space
    return {name: values for name, values in space.items() if name not in given}


def _defaults(settings: Settings, model: str, space: SearchSpace) -> dict[str, Any]:
    config = create(model, **fixed(settings, model)).config
    return {name: getattr(config, name) for name in space}


def _study_name(
    ctx: RunContext, model: str, space: SearchSpace, defaults: Mapping[str, Any]
) -> str:
    depends_on = {
        "space": {name: repr(values) for name, values in space.items()},
        "defaults": defaults,
        "fixed": fixed(ctx.settings, model),
        "max_readers": ctx.settings.tuning.max_readers,
        "seed": ctx.params.seed,
        "data": ctx.data_fingerprint,
        "code": git_sha(),
    }
    told = json.dumps(depends_on, sort_keys=True, default=str)
    return f"{ctx.run_id}/{model}/{hashlib.sha256(told.encode()).hexdigest()[:12]}"


def _recorded(tuning: Tuning) -> list[Trial]:
    return [
        Trial(
            number=trial.number,
            params=trial.params,
            metrics={} if trial.ndcg_at_10 is None else {"ndcg_at_10": trial.ndcg_at_10},
            state=trial.state,
            started_at=trial.started_at,
            seconds=trial.seconds,
        )
        for trial in tuning.trials
    ]
