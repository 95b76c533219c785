"""
What can be configured, in one place.

Every setting is an environment variable with the prefix `BOOKREC_`; nested ones use two
underscores (`BOOKREC_API__PORT`). Files may set them too: see `pipelines.settings_sources`. What is
left alone works: without `BOOKREC_DATABASE_URL` and `BOOKREC_REDIS_URL` the project starts its own
PostgreSQL and Redis under `BOOKREC_HOME`.
"""

import difflib
import os
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from pipelines.errors import ConfigurationError
from pipelines.settings_sources import (
    SECRETS,
    SHIPPED,
    DotEnv,
    Variables,
    read_environment,
    secret_files,
    sources,
    unknown_settings,
)

PREFIX = "BOOKREC_"
OTHER_VARIABLES = ("BOOKREC_LOCAL_", "BOOKREC_TEST_", "BOOKREC_GIT_SHA")
"""Read elsewhere: by the embedded servers, by the tests, and by what names the revision."""

Fraction = Annotated[float, Field(gt=0, lt=1)]
Schedule = Annotated[str | None, AfterValidator(lambda value: None if value == "never" else value)]
"""A cron expression, a preset, or `never`, which is None."""


class ApiSettings(BaseModel):
    """Where the serving process listens."""

    host: str = "127.0.0.1"
    """Loopback unless told otherwise."""
    port: int = Field(8080, ge=1, le=65535)
    base_url: str | None = None
    """Where callers find the service; host and port of this machine if unset."""
    workers: int = Field(1, ge=1)
    admin_token: SecretStr | None = None
    """Lets the pipeline ask the service to warm its cache; generated per home if unset."""
    poll_seconds: float = Field(5.0, gt=0)
    """How often a worker asks the registry whether there is a new champion."""
    access_log_share: float = Field(1.0, ge=0, le=1)
    """Of ordinary requests, the share that is logged; errors and slow ones always are."""

    @property
    def url(self) -> str:
        """The base address for callers."""
        host = "127.0.0.1" if self.host == "0.0.0.0" else self.host  # noqa: S104 - compared, not bound
        return (self.base_url or f"http://{host}:{self.port}").rstrip("/")

    @property
    def admin_headers(self) -> dict[str, str]:
        """What the pipeline proves itself with to the service."""
        if self.admin_token is None:
            return {}
        return {"Authorization": f"Bearer {self.admin_token.get_secret_value()}"}


Rate = Annotated[str, Field(pattern=r"^[1-9][0-9]{0,9}/(second|minute|hour|day)$")]
"""How many in which time: `600/minute`."""


class RateLimitSettings(BaseModel):
    """Requests in a sliding window, by who asks."""

    local: Rate = "1000000/minute"
    """Without credentials, from this machine, in development."""
    anonymous: Rate = "120/minute"
    """Without credentials, by address."""
    user: Rate = "600/minute"
    """By account."""
    key: Rate = "60000/minute"
    """By API key, client or admin token."""
    login: Rate = "10/minute"
    """Attempts to prove who one is, by address and by name."""


class SecuritySettings(BaseModel):
    """Who may ask, how often and how much."""

    signing_keys: dict[str, SecretStr] = {}
    """
    Secrets of 32 characters or more that sign tokens, by key id: `{"2026-11": "..."}`.

    The first signs, all verify, so a new one goes in front. In development made once per home.
    """
    issuer: str = "bookrec"
    audience: str = "bookrec-api"
    """What tokens are for; a token for something else opens nothing."""
    access_token_seconds: int = Field(900, ge=10, le=86_400)
    refresh_token_seconds: int = Field(14 * 86_400, ge=60)
    """From the login on, however often the token was exchanged since."""
    first_admin_name: str = "admin"
    first_admin_password: SecretStr | None = None
    """With it an admin is made where there is none yet."""
    open_to_anyone: bool = False
    """Whether callers without credentials may what services may; refused outside development."""
    rate_limits: RateLimitSettings = RateLimitSettings()
    max_body_bytes: int = Field(1_048_576, ge=1024)
    body_seconds: float = Field(5.0, gt=0, lt=8)
    """Until a request's body is there."""
    cors_origins: tuple[str, ...] = ()
    """Pages of these origins may call from a browser: `["https://shop.example"]`."""
    trusted_hosts: tuple[str, ...] = ()
    """Names this service is called by, `*.example.org` for any below; any at all if empty."""

    @field_validator("signing_keys")
    @classmethod
    def _are_long(cls, value: dict[str, SecretStr]) -> dict[str, SecretStr]:
        for key_id, secret in value.items():
            if len(secret.get_secret_value().encode()) < 32:
                raise ValueError(f"the secret of {key_id!r} needs 32 characters or more")
        return value

    @field_validator("cors_origins")
    @classmethod
    def _are_named(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if "*" in value:
            raise ValueError("name each origin: `*` would let any page in")
        return value


class AbTestSettings(BaseModel):
    """A second model beside the champion, for a share of the readers."""

    alias: str | None = Field(None, pattern=r"^[A-Za-z0-9_.-]+$")
    """Who is on trial: an alias in the registry, such as `challenger`; nobody if unset."""
    share: float = Field(0.1, ge=0, le=1)
    """Of the readers, always the same ones; a larger share keeps those of a smaller one."""
    shadow: bool = False
    """Whether its lists are only compared with the champion's, in the background."""
    salt: str = ""
    """Another one draws other readers."""


class CacheSettings(BaseModel):
    """How recommendation lists are kept in Redis."""

    ttl_seconds: int = Field(86_400, ge=1)
    list_length: int = Field(50, ge=1, le=1000)
    """Lists are cached at this length; a longer one is computed."""
    timeout_seconds: float = Field(0.05, gt=0)
    """For reads on the request path; a slower Redis counts as absent."""
    local_bytes: int = Field(64 * 2**20, ge=0)
    """What each worker remembers of its answers; 0 for nothing."""
    local_seconds: float = Field(10, gt=0)
    """How long it does: so long another machine may answer without the newest feedback."""
    recent_seconds: int = Field(30 * 86_400, ge=1)
    """How long feedback counts before a training has seen it."""


class BrowsingSettings(BaseModel):
    """What is remembered of visitors without an account."""

    seconds: int = Field(7_200, ge=1)
    """A session ends so long after it was used last."""
    books: int = Field(100, ge=1, le=1000)
    """So many, what was looked at last."""


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


class WatchSettings(BaseModel):
    """When the service takes a promotion back by itself."""

    seconds: float = Field(600, ge=0)
    """For so long after a promotion; 0 for never."""
    maximum_error_rate: float = Field(0.05, gt=0, le=1)
    """Of what a worker asks the new champion; beyond it the one before comes back."""
    minimum_requests: int = Field(100, ge=1)
    """Fewer say nothing."""


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


class FlagSettings(BaseModel):
    """Features that can be switched off; what is left alone is as `flags_file` says, else on."""

    model_config = ConfigDict(extra="forbid")

    reranking: bool | None = None
    explanations: bool | None = None
    ab_test: bool | None = None


class Settings(BaseSettings):
    """All settings; see `get_settings`."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        env_file=".env",
        env_ignore_empty=True,
        extra="ignore",  # a .env file may hold variables of other programs
        frozen=True,
    )

    environment: Literal["development", "staging", "production"] = "development"
    """
    Which file of defaults counts (`pipelines/environments`). Outside of development the service
    starts only with secrets that were chosen for it.
    """
    config_dir: Path | None = None
    """A folder of files `<environment>.toml` of your own, which go before ours."""
    secrets_dir: Path = SECRETS
    """A folder of files named like variables, each with one value: what secrets are mounted as."""
    home: Path = Path(".bookrec")
    """All local state lies here, so two homes never meet."""
    storage_url: str | None = None
    """Where run folders go, an fsspec URL (`s3://bucket/prefix`); in the home if unset."""
    database_url: SecretStr | None = None
    """Your PostgreSQL; the project's own if unset."""
    database_read_url: SecretStr | None = None
    """A streaming replica of it, from which the service reads what may be a little old."""
    database_read_lag_seconds: float = Field(2, gt=0)
    """How old that may be; a replica that is later is not asked."""
    redis_url: SecretStr | None = None
    """Your Redis, or `redis+cluster://…` of any node; the project's own if unset."""
    mlflow_tracking_uri: SecretStr | None = None
    """An MLflow server or database; a database beside ours if unset."""
    mlflow_artifact_root: Path | None = None
    """Where models are kept; `mlruns` beside the default home, inside any other."""
    erasure_key: SecretStr | None = None
    """What makes the ids of erased readers unreadable in the records; made once a home if unset."""
    registered_model: str = "bookrec-hybrid"
    experiment: str = "bookrec"
    schedule: Schedule = "@daily"
    """When Airflow retrains besides after a batch."""
    source: str | None = None
    """The source that a scheduled run reads; if unset, what the champion was trained on."""
    data_path: str | None = None
    """The file or folder that goes with `source`, or its address."""
    source_options: dict[str, str] = {}
    """What else goes with it: `{"delimiter": ";"}`."""
    library: str | None = None
    """What the library is called that `source` reads; where it lies, if unset."""
    source_database_url: SecretStr | None = None
    """What the source `postgresql` reads where no address is given."""
    models: tuple[str, ...] = Field(
        ("popularity", "item_knn", "ease", "matrix_factorization", "content"), min_length=1
    )
    """The parts of the hybrid, by the names of the model factory."""
    hyperparameters: dict[str, dict[str, Any]] = {}
    """By model, what differs from its defaults: `{"item_knn": {"k_neighbors": 100}}`."""
    api: ApiSettings = ApiSettings()
    security: SecuritySettings = SecuritySettings()
    stack: StackSettings = StackSettings()
    ab_test: AbTestSettings = AbTestSettings()
    cache: CacheSettings = CacheSettings()
    browsing: BrowsingSettings = BrowsingSettings()
    cleaning: CleaningSettings = CleaningSettings()
    split: SplitSettings = SplitSettings()
    blend: BlendSettings = BlendSettings()
    evaluation: EvaluationSettings = EvaluationSettings()
    gate: GateSettings = GateSettings()
    watch: WatchSettings = WatchSettings()
    tuning: TuningSettings = TuningSettings()
    quality: QualitySettings = QualitySettings()
    loading: LoadingSettings = LoadingSettings()
    webhooks: WebhookSettings = WebhookSettings()
    maintenance: MaintenanceSettings = MaintenanceSettings()
    flags: FlagSettings = FlagSettings()
    flags_file: Path | None = None
    """Flags as TOML or JSON, with a section for each environment that differs."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        del env_settings, dotenv_settings, file_secret_settings  # ours leave errors to validation
        return init_settings, *sources(settings_cls)

    @field_validator("home", "mlflow_artifact_root", "flags_file", "config_dir", "secrets_dir")
    @classmethod
    def _absolute(cls, value: Path | None) -> Path | None:
        return None if value is None else value.expanduser().absolute()

    @field_validator("mlflow_artifact_root", mode="before")
    @classmethod
    def _is_a_folder(cls, value: Any) -> Any:
        if "://" in str(value):
            raise ValueError(
                "must be a folder; for object storage run an MLflow server of your own"
            )
        return value

    @field_validator("models")
    @classmethod
    def _are_different(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(value)) < len(value):
            raise ValueError("names a model twice")
        return value

    @model_validator(mode="after")
    def _path_needs_a_source(self) -> Self:
        for name in ("data_path", "library"):
            if getattr(self, name) and not self.source:
                raise ValueError(f"{PREFIX}{name.upper()} needs BOOKREC_SOURCE to say what it is")
        return self

    @property
    def storage_root(self) -> str:
        """The fsspec URL below which run folders lie."""
        return self.storage_url or str(self.home / "storage")

    @property
    def artifact_root(self) -> Path:
        """The folder that the local MLflow keeps models in."""
        if self.mlflow_artifact_root is not None:
            return self.mlflow_artifact_root
        is_default = self.home == Path(".bookrec").absolute()
        return self.home.parent / "mlruns" if is_default else self.home / "mlruns"


@lru_cache
def get_settings() -> Settings:
    """
    The settings of this process, read once.

    Raises:
        ConfigurationError: naming everything that is wrong at once.
    """
    problems = list(_unknown_variables(os.environ))
    settings = None
    try:
        settings = Settings()
        problems += _in_files(settings.environment, settings.config_dir, settings.secrets_dir)
    except ValidationError as error:
        problems += _explained(error)
        problems += _in_files(*_asked_for())
    except (ConfigurationError, SettingsError) as error:
        problems.append(str(error))
    if settings is None or problems:
        raise ConfigurationError("; ".join(problems))
    return settings


def _asked_for() -> tuple[str, Path | None, Path]:
    """Where files would be read, of settings that are not valid."""
    told: dict[str, Any] = DotEnv(Settings)() | Variables(Settings)()
    own = told.get("config_dir")
    folder = None if own is None else Path(own).expanduser()
    return str(told.get("environment")), folder, Path(told.get("secrets_dir") or SECRETS)


def _explained(error: ValidationError) -> list[str]:
    return [
        f"{PREFIX}{'__'.join(str(part).upper() for part in e['loc'])}: {e['msg']}".lstrip(": ")
        for e in error.errors(include_input=False)
    ]


def _in_files(environment: str, own: Path | None, secrets: Path) -> Iterator[str]:
    """Names in files that mean nothing, or do not belong there."""
    yield from _unknown_variables(name.upper() for name in secret_files(secrets))
    if own is not None and not own.is_dir():
        yield f"BOOKREC_CONFIG_DIR: there is no folder {own}"
    for folder in (own, SHIPPED):
        if folder is not None:
            for problem in unknown_settings(Settings, read_environment(folder, environment)):
                yield f"{folder / environment}.toml: {problem}"


def _unknown_variables(names: Iterable[str]) -> Iterator[str]:
    """A misspelt variable would otherwise be a setting that silently does nothing."""
    known = set(Settings.model_fields)
    ours = (v for v in names if v.startswith(PREFIX) and not v.startswith(OTHER_VARIABLES))
    for variable in ours:
        name = variable.removeprefix(PREFIX).lower().split("__")[0]
        if name not in known:
            close = difflib.get_close_matches(name, known, 1)
            hint = f": did you mean {PREFIX}{close[0].upper()}?" if close else ""
            yield f"there is no setting {variable}{hint}"
