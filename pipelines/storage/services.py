"""
The servers a process works with: yours where settings name them, the home's own otherwise.

Whoever starts a program (the command line, the local stack, a test) enters `running_services` once;
its children find everything in their environment through `environment`.
"""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pydantic import SecretStr
from sqlalchemy import make_url

from pipelines.errors import StorageError
from pipelines.settings import Settings
from pipelines.storage.database import ensure_database, migrate, sibling
from pipelines.storage.local_servers import local_servers


@contextmanager
def running_services(settings: Settings, *, redis: bool = True) -> Iterator[Settings]:
    """
    Settings in which every address is known, and databases exist and are migrated.

    Args:
        settings: As configured.
        redis: Whether it is needed; batch work does without.

    Raises:
        StorageError: a server cannot be reached or started.
    """
    with located_services(settings, redis=redis) as located:
        yield prepared(located)


@contextmanager
def located_services(settings: Settings, *, redis: bool = True) -> Iterator[Settings]:
    """
    Settings in which every address is known; whether databases exist is not looked at.

    Raises:
        StorageError: a server of the home's own cannot be started.
    """
    _make(settings.home)
    own_postgres, own_redis = settings.database_url is None, redis and settings.redis_url is None
    with local_servers(settings.home, postgres=own_postgres, redis=own_redis) as servers:
        found = {}
        if own_postgres:
            found["database_url"] = SecretStr(_in_database(servers.postgres_url, "bookrec"))
        if own_redis:
            found["redis_url"] = SecretStr(servers.redis_url or "")
        yield _completed(settings.model_copy(update=found))


def prepared(settings: Settings) -> Settings:
    """Settings completed by what follows from the database's address; makes and migrates it."""
    completed = _completed(settings)
    url, tracking = completed.database_url, completed.mlflow_tracking_uri
    assert url is not None  # noqa: S101 - the callers' contract, for the type checker
    assert tracking is not None  # noqa: S101 - it follows
    ensure_database(url.get_secret_value())
    migrate(url.get_secret_value())
    if is_mlflow_ours(completed):
        ensure_database(tracking.get_secret_value())
    return completed


def is_mlflow_ours(settings: Settings) -> bool:
    """Whether MLflow's database is the one beside ours, and not configured to be elsewhere."""
    url, tracking = settings.database_url, settings.mlflow_tracking_uri
    if url is None or tracking is None:
        return False
    return tracking.get_secret_value() == sibling(url.get_secret_value(), "mlflow")


def _completed(settings: Settings) -> Settings:
    tracking, api = settings.mlflow_tracking_uri, settings.api
    if tracking is None:
        tracking = SecretStr(sibling(settings.known_database_url, "mlflow"))
    if api.admin_token is None:
        token = SecretStr(own_secret(settings.home, "admin-token"))
        api = api.model_copy(update={"admin_token": token})
    return settings.model_copy(update={"mlflow_tracking_uri": tracking, "api": api})


def environment(settings: Settings) -> dict[str, str]:
    """Variables that hand prepared settings to a child process; holds secrets."""
    values = {
        "BOOKREC_HOME": str(settings.home),
        "BOOKREC_DATABASE_URL": _secret(settings.database_url),
        "BOOKREC_DATABASE_READ_URL": _secret(settings.database_read_url),
        "BOOKREC_DATABASE_READ_LAG_SECONDS": str(settings.database_read_lag_seconds),
        "BOOKREC_REDIS_URL": _secret(settings.redis_url),
        "BOOKREC_ERASURE_KEY": _secret(settings.erasure_key),
        "BOOKREC_MLFLOW_TRACKING_URI": _secret(settings.mlflow_tracking_uri),
        "BOOKREC_MLFLOW_ARTIFACT_ROOT": str(settings.artifact_root),
        "BOOKREC_STORAGE_URL": settings.storage_root,
        "BOOKREC_EXPERIMENT": settings.experiment,
        "BOOKREC_REGISTERED_MODEL": settings.registered_model,
        "BOOKREC_API__BASE_URL": settings.api.base_url or "",
        "BOOKREC_API__HOST": settings.api.host,
        "BOOKREC_API__PORT": str(settings.api.port),
        "BOOKREC_API__ADMIN_TOKEN": _secret(settings.api.admin_token),
    }
    return {name: value for name, value in values.items() if value}


def _secret(value: SecretStr | None) -> str:
    return value.get_secret_value() if value is not None else ""


def _in_database(server_url: str | None, name: str) -> str:
    return make_url(server_url or "").set(database=name).render_as_string(hide_password=False)


def _make(home: Path) -> None:
    """Private: it holds readers' histories."""
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(
            f"cannot make the home {home} ({error.strerror}): set BOOKREC_HOME to a folder of yours"
        ) from error


def own_secret(home: Path, name: str) -> str:
    """A secret of this home, made once and readable by its owner alone."""
    _make(home)
    path, draft = home / name, home / f".{name}.{os.getpid()}"
    if not path.exists():
        with os.fdopen(os.open(draft, os.O_CREAT | os.O_WRONLY, 0o600), "w") as stream:
            stream.write(secrets.token_urlsafe(32))
        with suppress(FileExistsError):  # another process was first, and its secret stands
            os.link(draft, path)
        draft.unlink()
    return path.read_text()
