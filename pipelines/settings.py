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
from typing import Any, Literal, Self

from pydantic import (
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
from pipelines.pipeline_settings import (
    BlendSettings,
    CleaningSettings,
    EvaluationSettings,
    GateSettings,
    LoadingSettings,
    MaintenanceSettings,
    QualitySettings,
    Schedule,
    SplitSettings,
    StackSettings,
    TuningSettings,
    WebhookSettings,
)
from pipelines.service_settings import (
    AbTestSettings,
    ApiSettings,
    BrowsingSettings,
    CacheSettings,
    FlagSettings,
    SecuritySettings,
    WatchSettings,
)
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
    def known_database_url(self) -> str:
        """
        Where our tables are, with its password; prepared settings say it.

        Raises:
            ConfigurationError: these do not.
        """
        if self.database_url is None:
            raise ConfigurationError("BOOKREC_DATABASE_URL is not set for this process")
        return self.database_url.get_secret_value()

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
