"""Settings of the pipeline, and of what looks after it, in groups."""

from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, Field, model_validator

Fraction = Annotated[float, Field(gt=0, lt=1)]
Schedule = Annotated[str | None, AfterValidator(lambda value: None if value == "never" else value)]
"""A cron expression, a preset, or `never`, which is None."""


class SplitSettings(BaseModel):
    """Shares of each reader's history that are held out, newest first."""

    test: Fraction = 0.2
    validation: Fraction = 0.1


class CleaningSettings(BaseModel):
    """What cleaning does beyond repairs."""

    group_editions: bool = True
    """Whether the editions of a work become one book, whose ratings add up."""


class StackSettings(BaseModel):
    """Ports of the local stack's user interfaces; all on loopback."""

    mlflow_port: int = Field(5001, ge=1, le=65535)
    airflow_port: int = Field(8081, ge=1, le=65535)


class BlendSettings(BaseModel):
    """How the parts become one model."""

    coverage_price: float = Field(0.01, ge=0, lt=1)
    """Share of the NDCG@10 on validation readers that may be given up to show more books."""
    new_books_price: float = Field(0.005, ge=0, lt=1)
    """The same, to show books that nobody has met yet."""


class EvaluationSettings(BaseModel):
    """Bounds on the time of an evaluation; readers beyond them are drawn by chance."""

    max_readers: int = Field(5_000, ge=1)
    max_validation_readers: int = Field(1_000, ge=1)
    learning_curve_seconds: float = Field(30, ge=0)
    """For fitting one model again on fewer readers, to see what more are worth; 0 for no curve."""


class GateSettings(BaseModel):
    """What a version must hold to become champion; NDCG@10 in absolute terms."""

    minimum_gain: float = Field(-0.01, ge=-1, le=1)
    """
    The lower 95 % bound of its gain over the champion must be above it. Below 0 one may come in
    that is only as good: it has learnt from newer data. 0 asks for proof that it is better.
    """
    minimum_gain_over_popularity: float = Field(0.0, ge=-1, le=1)
    """The same, over a list that is the same for everybody."""
    first_model_tolerance: float = Field(0.02, ge=0, le=1)
    """By more than this a first model must not be proven worse than popularity."""
    slice_tolerance: float = Field(0.02, ge=0, le=1)
    """By more than this no kind of readers or books must be proven to lose."""
    slice_tolerances: dict[str, Annotated[float, Field(ge=0, le=1)]] = {}
    """The same for some of them: `{"readers_new": 0.05}`."""
    minimum_readers: int = Field(30, ge=1)
    """Of fewer the mean decides, as an interval would say little; slices of fewer do not count."""
    minimum_coverage_share: float = Field(0.8, ge=0)
    """Of the champion's coverage@10."""
    maximum_latency_ratio: float = Field(2.0, gt=0)
    """Median time of a list over the champion's, asked by turns."""
    unnoticed_milliseconds: float = Field(5.0, ge=0)
    """A list that takes no longer is fast enough, whatever the champion takes."""
    minimum_quality_score: float = Field(60, ge=0, le=100)
    """Of the data it has learnt from."""
    require_comparison: bool = False
    """Whether a champion stays that a challenger cannot be compared with."""


class TuningSettings(BaseModel):
    """Bounds on the choice of hyperparameters; what `hyperparameters` fixes is never changed."""

    budget_seconds: float = Field(300, ge=0)
    """
    Of all models of a run together, in equal shares; 0 keeps the defaults of the models. The
    built-in sample gets 16 at most.

    A faster machine tries more: only what fits the budget easily is the same on any machine.
    """
    max_trials: int = Field(25, ge=1)
    """Of one model."""
    max_readers: int = Field(1_000, ge=1)
    """Half of them choose the best trial, the other half have to confirm it."""


class QualityWeights(BaseModel):
    """How much each part of the quality score counts, relative to the others."""

    completeness: float = Field(0.2, ge=0)
    validity: float = Field(0.25, ge=0)
    uniqueness: float = Field(0.1, ge=0)
    consistency: float = Field(0.25, ge=0)
    freshness: float = Field(0.05, ge=0)
    stability: float = Field(0.15, ge=0)

    @model_validator(mode="after")
    def _some_count(self) -> Self:
        if not self.completeness + self.validity + self.uniqueness + self.consistency:
            raise ValueError("a part that every batch has must have a weight")
        return self


class QualitySettings(BaseModel):
    """What a batch must keep to be learnt from, against the one that was stored before it."""

    minimum_score: float = Field(50, ge=0, le=100)
    """A lower quality score refuses the batch."""
    weights: QualityWeights = QualityWeights()
    warning_psi: float = Field(0.1, gt=0)
    """Drift of a column that is worth telling."""
    critical_psi: float = Field(1.0, gt=0)
    """Drift of a column that refuses the batch."""
    minimum_kept_share: Fraction = 0.5
    """With a smaller share of the previous batch's ratings, readers or books some are lost."""
    half_life_days: float = Field(365, gt=0)
    """After so long without a rating a batch is half as fresh."""
    schedule: Schedule = "@daily"
    """When Airflow reports on the data."""


class LoadingSettings(BaseModel):
    """What follows when a batch was loaded."""

    retrain_share: float = Field(0.01, ge=0)
    """
    Share of a library's ratings that must have changed since the champion learnt for a batch to
    start a training.
    """
    feedback_schedule: Schedule = "@hourly"
    """When Airflow loads what readers told the service."""


class WebhookSettings(BaseModel):
    """How those who asked for it are told what has happened."""

    allow_private: bool = False
    """Whether addresses of a private network may be called: for receivers within your own."""
    timeout_seconds: float = Field(10, gt=0, le=60)
    """Of one attempt as a whole; an answer that comes later counts as none."""
    retry_seconds: tuple[Annotated[float, Field(gt=0)], ...] = (
        *(5, 30, 120, 600, 3_600, 21_600),
        *(86_400, 86_400),
    )
    """From one failed attempt to the next, up to a quarter longer; then it is given up."""
    schedule: Schedule = "*/5 * * * *"
    """When Airflow sends what is due."""


class MaintenanceSettings(BaseModel):
    """What is kept, and for how long."""

    schedule: Schedule = "@daily"
    """When Airflow backs up, and removes what has expired."""
    keep_backups: int = Field(7, ge=1)
    """So many, the newest."""
    keep_versions: int = Field(10, ge=1)
    """Of models, besides the champion, what it can be rolled back to, and whatever has an alias."""
    keep_runs: int = Field(10, ge=1)
    """Run folders, besides those that versions which are kept were made by."""
    run_days: float = Field(30, ge=0)
    """Others go so long after something was last written there; so do task logs of Airflow."""
    delivery_days: float = Field(30, ge=1)
    """Deliveries of webhooks go so long after they arrived, or were given up."""
    log_bytes: int = Field(10_000_000, ge=1)
    """A longer log file is put aside."""
    keep_logs: int = Field(3, ge=0)
    """Of each log file, what was put aside."""
