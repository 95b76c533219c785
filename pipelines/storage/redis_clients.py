"""Clients of Redis by its address: of one server, or of a cluster (`redis+cluster://…`)."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, cast

import redis
from redis.exceptions import RedisClusterException

REDIS_FAILURES = (redis.RedisError, RedisClusterException, OSError)
"""What a client raises; redis-py gives what it has to say of a whole cluster a root of its own."""

_CLUSTER = "+cluster"


class RedisAddress(NamedTuple):
    """An address as redis-py reads it, and whether what answers there is a node of a cluster."""

    url: str
    is_cluster: bool

    @classmethod
    def parse(cls, text: str) -> "RedisAddress":
        """Of `redis://…`, or of `redis+cluster://…`, with any node's or a name of them all."""
        scheme, separator, rest = text.partition("://")
        return cls(
            scheme.removesuffix(_CLUSTER) + separator + rest, scheme.lower().endswith(_CLUSTER)
        )


@contextmanager
def redis_client(url: str, **options: Any) -> Iterator[redis.Redis]:
    """
    A client for as long as the block lasts.

    Args:
        url: The address, `redis://…` or `redis+cluster://…`.
        options: As redis-py names them, such as `socket_timeout`.

    Raises:
        RedisError: Redis, or the cluster, does not answer; here or in the block.
        ValueError: the address is malformed.
    """
    address = RedisAddress.parse(url)
    try:
        with _client(address, options) as client:
            yield client
    except RedisClusterException as error:
        raise redis.RedisError(str(error)) from error


def _client(address: RedisAddress, options: dict[str, Any]) -> redis.Redis:
    if address.is_cluster:  # it answers the same commands
        return cast("redis.Redis", redis.RedisCluster.from_url(address.url, **options))
    return redis.Redis.from_url(address.url, **options)
