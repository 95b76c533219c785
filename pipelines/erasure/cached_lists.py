"""A reader in Redis."""

import redis

from pipelines.errors import StorageError
from pipelines.storage.cache_keys import reader_pattern, recent_key
from pipelines.storage.redis_clients import redis_client


def drop_cached_lists(url: str, model: str, user_id: str) -> int:
    """
    Remove all lists of a reader, whatever version made them, and what they were told to do lately.

    Gives how many there were.

    Raises:
        StorageError: Redis does not answer.
    """
    try:
        with redis_client(url, socket_connect_timeout=5, socket_timeout=30) as client:
            lists = client.scan_iter(match=reader_pattern(model, user_id), count=1000)
            return int(client.unlink(recent_key(model, user_id), *lists))
    except redis.RedisError as error:
        raise StorageError(f"cached lists cannot be removed: Redis: {error}") from error
