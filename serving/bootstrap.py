"""The composition root of the service: from settings to parts that are wired and running."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from pydantic import SecretStr

from pipelines.errors import ConfigurationError
from pipelines.registry import MlflowRegistry
from pipelines.settings import Settings
from pipelines.storage.database import sibling
from serving.cache import NullCache, RecommendationCache, RedisCache
from serving.flags import Flags
from serving.metrics import ServingMetrics
from serving.model_slot import ModelSlot, SlotObserver
from serving.recommendation import Recommendations
from serving.refusal_events import RefusalEvents
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
    warming: CacheWarming
    metrics: ServingMetrics
    flags: Flags
    model_name: str
    admin_token: SecretStr | None
    poll_seconds: float

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Follow the champion for as long as the context is open."""
        poller = threading.Thread(
            target=self.slot.poll, args=(self.poll_seconds,), name="model-slot", daemon=True
        )
        poller.start()
        try:
            yield
        finally:
            self.slot.stop()
            await self.warming.stop()
            await self.cache.close()
            await self.bulk_cache.close()
            await asyncio.to_thread(poller.join, STOP_SECONDS)


def compose(settings: Settings) -> Components:
    """
    The parts that `settings` describe; connects to nothing yet.

    Raises:
        ConfigurationError: an address is missing or malformed.
    """
    uri = SecretStr(tracking_uri(settings))
    named = settings.model_copy(update={"mlflow_tracking_uri": uri})
    return assemble(
        settings,
        ModelSlot(
            MlflowRegistry.from_settings(named),
            settings.home / "models",
            observers=_observers(settings),
        ),
        _cache(settings, settings.cache.timeout_seconds),
        _cache(settings, BULK_TIMEOUT_SECONDS),
    )


def assemble(
    settings: Settings,
    slot: ModelSlot,
    cache: RecommendationCache,
    bulk_cache: RecommendationCache,
) -> Components:
    """The parts around a given slot and given caches."""
    name = settings.registered_model
    metrics = ServingMetrics(slot)
    return Components(
        slot=slot,
        cache=cache,
        bulk_cache=bulk_cache,
        recommendations=Recommendations(
            slot, cache, settings.cache, name, metrics.cache_operations
        ),
        warming=CacheWarming(slot, bulk_cache, settings.cache, name),
        metrics=metrics,
        flags=Flags(settings),
        model_name=name,
        admin_token=settings.api.admin_token,
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


def _observers(settings: Settings) -> list[SlotObserver]:
    if settings.database_url is None:  # then there is no outbox to write to
        return []
    url = settings.database_url.get_secret_value()
    return [RefusalEvents(url, settings.registered_model)]


def _cache(settings: Settings, timeout_seconds: float) -> RecommendationCache:
    if settings.redis_url is None:
        return NullCache()
    return RedisCache(settings.redis_url.get_secret_value(), timeout_seconds=timeout_seconds)
