"""
A word over Redis that there is a new champion.

Only a nudge: a service that does not hear it finds the champion when it next asks the registry.
"""

import json

import redis
import structlog
from redis.backoff import NoBackoff
from redis.retry import Retry

from pipelines.errors import StorageError
from pipelines.settings import Settings
from pipelines.storage.cache_keys import champion_channel
from pipelines.storage.local_servers import running_local_servers
from pipelines.storage.redis_clients import redis_client

log = structlog.get_logger()

ANSWER_SECONDS = 1.0


def announce_champion(settings: Settings, version: int) -> None:
    """Tell running services to look at once; never raises, for a promotion must not fail of it."""
    try:
        url = _redis_url(settings)
        if url is None:  # nothing of this home is running, so nobody listens
            return
        listeners = _publish(url, settings.registered_model, version)
    except (redis.RedisError, OSError, ValueError, StorageError) as error:
        log.warning("champion_not_announced", version=version, reason=str(error))
    else:
        log.info("champion_announced", version=version, listeners=listeners)


def _redis_url(settings: Settings) -> str | None:
    if settings.redis_url is not None:
        return settings.redis_url.get_secret_value()
    running = running_local_servers(settings.home)
    return None if running is None else running.redis_url


def _publish(url: str, model: str, version: int) -> int:
    with redis_client(
        url,
        socket_timeout=ANSWER_SECONDS,
        socket_connect_timeout=ANSWER_SECONDS,
        retry=Retry(NoBackoff(), 0),
    ) as client:
        message = json.dumps({"model": model, "version": version})
        return int(client.publish(champion_channel(model), message))
