"""What is kept of answers, in Redis and in the memory of workers: looked at, and dropped."""

from dataclasses import dataclass
from typing import Any, Literal

from pipelines.errors import CacheUnavailableError
from pipelines.service_settings import CacheSettings
from pipelines.storage.cache_keys import lists_pattern, reader_pattern
from serving.caching.cache import RecommendationCache
from serving.caching.generations import Generations
from serving.caching.local_cache import LocalCache
from serving.model.slot import ModelSlot
from serving.telemetry.metrics import ServingMetrics


@dataclass(frozen=True)
class Level:
    """One place; `hits` and `misses` are those of all workers since the service began."""

    entries: int
    n_bytes: int
    hits: int
    misses: int
    ttl_seconds: float


@dataclass(frozen=True)
class KeptAnswers:
    """`redis` is None while it cannot be asked, of which `trouble` says why."""

    version: int
    worker: Level
    redis: Level | None
    breaker: Literal["closed", "open"]
    trouble: str | None


class AnswerKeeper:
    """
    Knows all places in which answers are kept.

    Args:
        cache: Of requests: whose breaker is told of.
        bulk_cache: More patient, to look at and drop what lies in Redis.
    """

    def __init__(
        self,
        slot: ModelSlot,
        cache: RecommendationCache,
        bulk_cache: RecommendationCache,
        local_cache: LocalCache[Any],
        generations: Generations,
        metrics: ServingMetrics,
        settings: CacheSettings,
        model_name: str,
    ) -> None:
        self._slot = slot
        self._cache = cache
        self._bulk_cache = bulk_cache
        self._local_cache = local_cache
        self._generations = generations
        self._metrics = metrics
        self._settings = settings
        self._model_name = model_name

    async def look(self) -> KeptAnswers:
        """
        What is kept; in Redis readers' lists of the model in service.

        Raises:
            NoModelError: none is.
        """
        model = self._slot.loaded()
        local, settings = self._local_cache, self._settings
        counted = self._metrics.cache_results()
        worker = Level(
            len(local),
            local.n_bytes,
            counted.get("local", 0),
            counted.get("local_miss", 0),
            settings.local_seconds,
        )
        redis, trouble = None, None
        try:
            await self._cache.ping()
            measured = await self._bulk_cache.measure(lists_pattern(self._model_name, model.label))
        except CacheUnavailableError as error:
            trouble = str(error)
        else:
            hits, misses = counted.get("hit", 0), counted.get("miss", 0)
            redis = Level(*measured, hits, misses, settings.ttl_seconds)
        breaker: Literal["closed", "open"] = "closed" if self._cache.failure is None else "open"
        return KeptAnswers(model.number, worker, redis, breaker, trouble)

    async def drop(self, user_id: str | None) -> int:
        """
        Drop a reader's lists, or those of all; what was heard of them stays.

        Gives how many lay in Redis, of whatever version. No worker of this machine gives what it
        remembered before; those of others do for `local_seconds` at most.

        Raises:
            CacheUnavailableError: Redis is away, and may still have them.
        """
        name = self._model_name
        pattern = lists_pattern(name) if user_id is None else reader_pattern(name, user_id)
        try:
            return await self._bulk_cache.drop_all(pattern)
        finally:
            if user_id is None:
                self._generations.renew_all()
                self._local_cache.clear()
            else:
                self._generations.renew(user_id)
