"""Where the registry is; apart from all else, for a process that only has to know that."""

from pipelines.errors import ConfigurationError
from pipelines.settings import Settings
from pipelines.storage.database import sibling


def tracking_uri(settings: Settings) -> str:
    """
    The registry's address: as set, or the database beside ours.

    Raises:
        ConfigurationError: neither address is set.
    """
    if settings.mlflow_tracking_uri is not None:
        return settings.mlflow_tracking_uri.get_secret_value()
    if settings.database_url is not None:
        return sibling(settings.database_url.get_secret_value(), "mlflow")
    raise ConfigurationError(
        "no way to the models: set BOOKREC_MLFLOW_TRACKING_URI or BOOKREC_DATABASE_URL"
    )
