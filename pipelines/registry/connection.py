"""MLflow as it is reached: a database or a server, quick to fail, with errors of ours."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Self

from pipelines.errors import ConfigurationError, RegistryError
from pipelines.settings import Settings

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient


class MlflowConnection:
    """
    A client, and the experiment that belongs to it.

    Args:
        tracking_uri: A PostgreSQL address or an MLflow server's.
        artifact_root: Where a new experiment keeps its artifacts; a server decides for itself.
        experiment: Its name.
        model: What versions are registered as.
    """

    def __init__(
        self, tracking_uri: str, artifact_root: Path, *, experiment: str, model: str
    ) -> None:
        _quieten()
        self._uri = tracking_uri
        self._artifact_root = artifact_root
        self._experiment = experiment
        self._model = model

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """
        The registry that settings name.

        Raises:
            ConfigurationError: they name none.
        """
        if settings.mlflow_tracking_uri is None:
            raise ConfigurationError("BOOKREC_MLFLOW_TRACKING_URI is not set for this process")
        return cls(
            settings.mlflow_tracking_uri.get_secret_value(),
            settings.artifact_root,
            experiment=settings.experiment,
            model=settings.registered_model,
        )

    @cached_property
    def _client(self) -> "MlflowClient":
        from mlflow.tracking import MlflowClient

        if not self._uri.startswith("http"):
            _knock(self._uri)
        return MlflowClient(tracking_uri=self._uri, registry_uri=self._uri)

    def prepare(self) -> str:
        """
        Make the database, the experiment and the registered model; gives the experiment's id.

        To be called from one process before any other: MLflow's first set-up is not safe to race.
        """
        with translated():
            return self._experiment_id

    @cached_property
    def _experiment_id(self) -> str:
        known = self._client.get_experiment_by_name(self._experiment)
        experiment_id = known.experiment_id if known else self._create_experiment(self._experiment)
        if not self._client.search_registered_models(f"name = '{self._model}'"):
            self._client.create_registered_model(self._model)
        return str(experiment_id)

    def _create_experiment(self, name: str) -> str:
        if self._uri.startswith("http"):
            return str(self._client.create_experiment(name))
        self._artifact_root.mkdir(parents=True, exist_ok=True)
        location = self._artifact_root.as_uri()
        return str(self._client.create_experiment(name, location))


@contextmanager
def translated() -> Iterator[None]:
    """MLflow's errors as ours: their first line, without the password of an address in it."""
    import sqlalchemy.exc
    from mlflow.exceptions import MlflowException

    try:
        yield
    except (MlflowException, sqlalchemy.exc.SQLAlchemyError, OSError) as error:
        first_line = next(iter(str(error).splitlines()), "")
        masked = re.sub(r"//[^/\s]*@", "//***@", first_line)
        raise RegistryError(f"MLflow: {masked[:300]}") from error


def _quieten() -> None:
    """No telemetry, no progress bars, no advice about pip in our users' terminals."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("DO_NOT_TRACK", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "ERROR")
    os.environ.setdefault("MLFLOW_UV_AUTO_DETECT", "false")
    # MLflow's own retries would hold a caller for minutes when its server is down.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")


def _knock(database_url: str) -> None:
    """Fail at once where the database does not answer; MLflow would try for minutes."""
    import sqlalchemy

    engine = sqlalchemy.create_engine(database_url, connect_args={"connect_timeout": 5})
    try:
        engine.connect().close()
    finally:
        engine.dispose()
