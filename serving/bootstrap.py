"""The composition root of the service: from settings to parts that are wired and running."""

import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from pydantic import SecretStr

from pipelines.registry import CHAMPION, MlflowRegistry
from pipelines.settings import Settings
from pipelines.storage.cache_keys import champion_channel
from serving.ab_test import ReadersModels, Trial
from serving.announcements import Announcements
from serving.cache import NullCache, RecommendationCache, RedisCache
from serving.following import following
from serving.last_model import LastModel
from serving.metrics import ServingMetrics
from serving.model_slot import ModelSlot
from serving.recommendation import Recommendations
from serving.tracking import tracking_uri
from serving.warming import CacheWarming

BULK_TIMEOUT_SECONDS = 5.0
"""For writes that no reader waits for."""


@dataclass(frozen=True)
class Components:
    """Everything that routes work with."""

    slot: ModelSlot
    trial: Trial | None
    models: ReadersModels
    announcements: Announcements | None
    cache: RecommendationCache
    bulk_cache: RecommendationCache
    recommendations: Recommendations
    warming: CacheWarming
    metrics: ServingMetrics
    model_name: str
    admin_token: SecretStr | None
    poll_seconds: float

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Follow the champion, and who is on trial, for as long as the context is open."""
        slots = [self.slot] if self.trial is None else [self.slot, self.trial.slot]
        async with following(slots, self.announcements, self.poll_seconds):
            try:
                yield
            finally:
                self.models.stop()
                await self.warming.stop()
                await self.cache.close()
                await self.bulk_cache.close()


def compose(settings: Settings) -> Components:
    """
    The parts that `settings` describe; connects to nothing yet.

    Raises:
        ConfigurationError: an address is missing or malformed.
    """
    uri = SecretStr(tracking_uri(settings))
    registry = MlflowRegistry.from_settings(
        settings.model_copy(update={"mlflow_tracking_uri": uri})
    )

    def slot(alias: str) -> ModelSlot:
        # Of this registry: another that shares the home has versions of its own.
        of = hashlib.sha256(f"{uri.get_secret_value()}\0{settings.registered_model}".encode())
        last = LastModel(settings.home / "in-service" / f"{of.hexdigest()[:16]}-{alias}.json")
        return ModelSlot(registry, settings.home / "models", alias=alias, last=last)

    alias = settings.ab_test.alias
    return assemble(
        settings,
        slot(CHAMPION),
        _cache(settings, settings.cache.timeout_seconds),
        _cache(settings, BULK_TIMEOUT_SECONDS),
        on_trial=slot(alias) if alias else None,
    )


def assemble(
    settings: Settings,
    slot: ModelSlot,
    cache: RecommendationCache,
    bulk_cache: RecommendationCache,
    *,
    on_trial: ModelSlot | None = None,
) -> Components:
    """The parts around given slots and given caches."""
    name = settings.registered_model
    slots = [slot] if on_trial is None else [slot, on_trial]
    metrics = ServingMetrics(*slots)
    trial = Trial(on_trial, settings.ab_test) if on_trial is not None else None
    models = ReadersModels(slot, trial, metrics)
    return Components(
        slot=slot,
        trial=trial,
        models=models,
        announcements=_announcements(settings, slots),
        cache=cache,
        bulk_cache=bulk_cache,
        recommendations=Recommendations(
            models, cache, settings.cache, name, metrics.cache_operations
        ),
        warming=CacheWarming(slot, bulk_cache, settings.cache, name),
        metrics=metrics,
        model_name=name,
        admin_token=settings.api.admin_token,
        poll_seconds=settings.api.poll_seconds,
    )


def _cache(settings: Settings, timeout_seconds: float) -> RecommendationCache:
    if settings.redis_url is None:
        return NullCache()
    return RedisCache(settings.redis_url.get_secret_value(), timeout_seconds=timeout_seconds)


def _announcements(settings: Settings, slots: Sequence[ModelSlot]) -> Announcements | None:
    if settings.redis_url is None:
        return None

    def look() -> None:
        for slot in slots:
            slot.look()

    channel = champion_channel(settings.registered_model)
    return Announcements(settings.redis_url.get_secret_value(), channel, look)
