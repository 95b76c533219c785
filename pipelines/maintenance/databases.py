"""The databases that belong to an installation."""

from collections.abc import Iterator

from pipelines.settings import Settings
from pipelines.stack import airflow_database
from pipelines.storage.database import database_exists

LIBRARY, MLFLOW, AIRFLOW = "library", "mlflow", "airflow"


def addresses(settings: Settings) -> dict[str, str]:
    """
    Where each of them is, whether it is there or not, by name; with passwords.

    In the order in which they are to be dumped: what ours says of versions MLflow has to know. An
    MLflow server that settings name looks after its own.

    Raises:
        ConfigurationError: an address is not known to this process.
    """
    return dict(_addresses(settings, settings.known_database_url))


def present(settings: Settings) -> dict[str, str]:
    """Those that are there."""
    return {name: url for name, url in addresses(settings).items() if database_exists(url)}


def _addresses(settings: Settings, ours: str) -> Iterator[tuple[str, str]]:
    yield LIBRARY, ours
    tracking = settings.mlflow_tracking_uri
    if tracking is not None and tracking.get_secret_value().startswith("postgres"):
        yield MLFLOW, tracking.get_secret_value()
    yield AIRFLOW, airflow_database(settings)
