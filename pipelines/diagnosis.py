"""What is configured, and what answers: the findings of `bookrec doctor`."""

import importlib.metadata
import platform
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import redis
from sqlalchemy import text

from pipelines.errors import BookrecError, StorageError
from pipelines.registry import CHAMPION, RETRAIN_WANTED, MlflowRegistry
from pipelines.settings import Settings
from pipelines.storage.database import parse_url, ping
from pipelines.storage.local_servers import running_local_servers
from pipelines.storage.redis_clients import redis_client
from pipelines.storage.services import running_services
from pipelines.storage.unit_of_work import unit_of_work

Finding = dict[str, Any]
"""`name`, `state` ("ok", "idle": not running but can be, "failed"), and `details` in one line."""


def diagnose(settings: Settings) -> list[Finding]:
    """Look at everything once; starts the home's own servers for the moment if it has to."""
    return [_environment(settings), *_servers(settings), _service(settings)]


def _environment(settings: Settings) -> Finding:
    version = importlib.metadata.version("book-recommender")
    details = f"book-recommender {version}, Python {platform.python_version()}, {settings.home}"
    return _finding("installation", "ok", details)


def _servers(settings: Settings) -> Iterator[Finding]:
    was_running = running_local_servers(settings.home) is not None
    try:
        with running_services(settings) as prepared:
            own = settings.database_url is None
            kind = f"the home's own{'' if was_running else ', started for this check'}"
            yield _checked("PostgreSQL", lambda: _postgres(prepared, kind if own else "yours"))
            if settings.database_read_url is not None:
                yield _checked("Read replica", lambda: _replica(settings))
            own = settings.redis_url is None
            yield _checked("Redis", lambda: _redis(prepared, kind if own else "yours"))
            yield _checked("MLflow", lambda: _registry(prepared))
    except BookrecError as error:
        yield _finding("servers", "failed", str(error))


def _postgres(settings: Settings, kind: str) -> str:
    url = settings.known_database_url
    return f"{ping(url)} at {parse_url(url).render_as_string(hide_password=True)} ({kind})"


def _replica(settings: Settings) -> str:
    assert settings.database_read_url is not None  # noqa: S101 - the caller's contract
    url = settings.database_read_url.get_secret_value()
    version = ping(url)
    with unit_of_work(url) as session:
        if not session.scalar(text("select pg_is_in_recovery()")):
            raise StorageError("it follows no primary, so the service reads nothing from it")
    return f"{version} at {parse_url(url).render_as_string(hide_password=True)}"


def _redis(settings: Settings, kind: str) -> str:
    assert settings.redis_url is not None  # noqa: S101 - prepared settings have it
    url = settings.redis_url.get_secret_value()
    with redis_client(url, socket_connect_timeout=2, socket_timeout=2) as client:
        if isinstance(client, redis.RedisCluster):
            nodes = client.get_primaries()
            version = client.info("server", target_nodes=nodes[0])["redis_version"]
            return f"{version} in a cluster of {len(nodes)} nodes that hold keys ({kind})"
        version = client.info("server")["redis_version"]
        options = client.get_connection_kwargs()
    return f"{version} at {options.get('host')}:{options.get('port')} ({kind})"


def _registry(settings: Settings) -> str:
    champion = MlflowRegistry.from_settings(settings).by_alias(CHAMPION)
    told = f"champion is version {champion.version}" if champion else "no champion yet"
    if champion and (reason := champion.tags.get(RETRAIN_WANTED)):
        told += f", to be retrained: {reason}"
    return f"{told}; artifacts in {settings.artifact_root}"


def _service(settings: Settings) -> Finding:
    url = f"{settings.api.url}/readyz"
    try:
        answer = httpx.get(url, timeout=2)
    except httpx.HTTPError:
        return _finding("API", "idle", f"nothing answers at {settings.api.url}: start `bookrec up`")
    state = "ok" if answer.is_success else "failed"
    return _finding("API", state, f"{url} answers {answer.status_code}")


def _checked(name: str, check: Callable[[], str]) -> Finding:
    try:
        return _finding(name, "ok", check())
    except (BookrecError, redis.RedisError, ValueError) as error:
        return _finding(name, "failed", str(error))


def _finding(name: str, state: str, details: str) -> Finding:
    return {"name": name, "state": state, "details": details}
