"""The composition root of the service: from settings to parts that are wired and running."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from pydantic import SecretStr

from pipelines.errors import ConfigurationError
from pipelines.registry import MlflowRegistry
from pipelines.settings import Settings
from pipelines.storage.database import sibling
from pipelines.storage.erasures import ErasureKey
from serving.cache import NullCache, RecommendationCache, RedisCache
from serving.database import Database
from serving.feedback.intake import Feedback
from serving.generations import Generations
from serving.local_cache import LocalCache
from serving.metrics import ServingMetrics
from serving.model_slot import ModelSlot
from serving.recommending.readers import Recommendations
from serving.recommending.shelves import Shelves
from serving.security.components import Security, compose_security
from serving.warming import CacheWarming

BULK_TIMEOUT_SECONDS = 5.0
"""For writes that no reader waits for."""

STOP_SECONDS = 2.0
"""How long a stop waits for a model that is just being loaded."""


@dataclass(frozen=True)
class Components:
    """Everything that routes work with."""

    slot: ModelSlot
    cache: RecommendationCache
    bulk_cache: RecommendationCache
    recommendations: Recommendations
    shelves: Shelves
    warming: CacheWarming
    metrics: ServingMetrics
    model_name: str
    security: Security
    database: Database
    feedback: Feedback
    generations: Generations
    local_cache: LocalCache[Any]
    poll_seconds: float

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Follow the champion for as long as the context is open."""
        poller = threading.Thread(
            target=self.slot.poll, args=(self.poll_seconds,), name="model-slot", daemon=True
        )
        poller.start()
        try:
            async with self.security.running():
                yield
        finally:
            self.slot.stop()
            await self.warming.stop()
            await self.cache.close()
            await self.bulk_cache.close()
            self.database.close()
            self.generations.close()
            await asyncio.to_thread(poller.join, STOP_SECONDS)


def compose(settings: Settings) -> Components:
    """
    The parts that `settings` describe; connects to nothing yet.

    Raises:
        ConfigurationError: an address is missing or malformed, or something stands open.
    """
    uri = SecretStr(tracking_uri(settings))
    named = settings.model_copy(update={"mlflow_tracking_uri": uri})
    return assemble(
        settings,
        ModelSlot(MlflowRegistry.from_settings(named), settings.home / "models"),
        _cache(settings, settings.cache.timeout_seconds),
        _cache(settings, BULK_TIMEOUT_SECONDS),
        compose_security(settings),
    )


def assemble(
    settings: Settings,
    slot: ModelSlot,
    cache: RecommendationCache,
    bulk_cache: RecommendationCache,
    security: Security,
) -> Components:
    """The parts around a given slot and given caches."""
    name = settings.registered_model
    metrics = ServingMetrics(slot)
    url = settings.database_url
    database = Database(url.get_secret_value() if url is not None else None)
    generations = Generations(settings.home / "generations")
    return Components(
        slot=slot,
        cache=cache,
        bulk_cache=bulk_cache,
        recommendations=Recommendations(slot, cache, settings.cache, name, metrics),
        shelves=Shelves(slot, metrics),
        warming=CacheWarming(slot, bulk_cache, settings.cache, name),
        metrics=metrics,
        model_name=name,
        security=security,
        database=database,
        feedback=Feedback(
            slot,
            database,
            bulk_cache,
            generations,
            ErasureKey.of(settings),
            model_name=name,
            seconds=settings.cache.recent_seconds,
            counted=metrics.feedback,
        ),
        generations=generations,
        local_cache=LocalCache(settings.cache.local_bytes, settings.cache.local_seconds),
        poll_seconds=settings.api.poll_seconds,
    )


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


def _cache(settings: Settings, timeout_seconds: float) -> RecommendationCache:
    if settings.redis_url is None:
        return NullCache()
    return RedisCache(settings.redis_url.get_secret_value(), timeout_seconds=timeout_seconds)
