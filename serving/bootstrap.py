"""The composition root of the service: from settings to parts that are wired and running."""

import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from pydantic import SecretStr

from pipelines.erasure.act import Told, forget
from pipelines.registry import CHAMPION, MlflowRegistry
from pipelines.settings import Settings
from pipelines.storage.cache_keys import champion_channel
from pipelines.storage.erasures import ErasureKey
from serving.browsing import BrowsingSessions
from serving.caching.cache import NullCache, RecommendationCache, RedisCache
from serving.caching.generations import Generations
from serving.caching.local_cache import LocalCache
from serving.caching.redis_guard import GuardedRedis
from serving.database import Database
from serving.feedback.intake import Feedback
from serving.figures import RecentFigures
from serving.flags import Flags
from serving.model.ab_test import ReadersModels, Shadow, Trial
from serving.model.announcements import Announcements
from serving.model.following import following
from serving.model.last import LastModel
from serving.model.promotion_watch import PromotionWatch
from serving.model.refusal_events import RefusalEvents
from serving.model.settled_memory import SettledMemory
from serving.model.slot import ModelSlot, SlotObserver
from serving.model.thread import ModelThread
from serving.model.tracking import tracking_uri
from serving.readers import Readers
from serving.recommending.kept_answers import AnswerKeeper
from serving.recommending.readers import Recommendations
from serving.recommending.shelves import Shelves
from serving.recommending.warming import CacheWarming
from serving.releases import Releases
from serving.security.components import Security, compose_security
from serving.telemetry.access_log import AccessLog
from serving.telemetry.metrics import ServingMetrics
from serving.webhooks import Webhooks

BROWSING_TIMEOUT_SECONDS = 0.25
"""More than reads of the cache have: nothing stands in for what is asked for there."""
BULK_TIMEOUT_SECONDS = 5.0
"""For writes that no reader waits for."""


@dataclass(frozen=True)
class Components:
    """Everything that routes work with."""

    slot: ModelSlot
    trial: Trial | None
    models: ReadersModels
    thread: ModelThread
    announcements: Announcements | None
    cache: RecommendationCache
    bulk_cache: RecommendationCache
    recommendations: Recommendations
    shelves: Shelves
    warming: CacheWarming
    kept: AnswerKeeper
    metrics: ServingMetrics
    access_log: AccessLog
    watch: PromotionWatch
    flags: Flags
    model_name: str
    security: Security
    database: Database
    figures: RecentFigures
    feedback: Feedback
    readers: Readers
    browsing: BrowsingSessions
    releases: Releases
    webhooks: Webhooks
    generations: Generations
    local_cache: LocalCache[Any]
    poll_seconds: float

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Follow the champion, and who is on trial, for as long as the context is open."""
        slots = [self.slot] if self.trial is None else [self.slot, self.trial.slot]
        async with following(slots, self.announcements, self.poll_seconds):
            try:
                async with self.security.running():
                    yield
            finally:
                self.access_log.flush()
                self.metrics.flush()
                self.models.stop()
                await self.warming.stop()
                self.thread.close()
                await self.figures.stop()
                await self.cache.close()
                await self.bulk_cache.close()
                await self.browsing.close()
                self.database.close()
                self.releases.close()
                self.generations.close()


def compose(settings: Settings) -> Components:
    """
    The parts that `settings` describe; connects to nothing yet.

    Raises:
        ConfigurationError: an address is missing or malformed, or something stands open.
    """
    uri = SecretStr(tracking_uri(settings))
    registry = MlflowRegistry.from_settings(
        settings.model_copy(update={"mlflow_tracking_uri": uri})
    )

    def slot(alias: str, observers: Sequence[SlotObserver] = ()) -> ModelSlot:
        # Of this registry: another that shares the home has versions of its own.
        of = hashlib.sha256(f"{uri.get_secret_value()}\0{settings.registered_model}".encode())
        last = LastModel(settings.home / "in-service" / f"{of.hexdigest()[:16]}-{alias}.json")
        cache = settings.home / "models"
        return ModelSlot(registry, cache, alias=alias, last=last, observers=observers)

    alias = settings.ab_test.alias if Flags(settings).is_on("ab_test") else None
    return assemble(
        settings,
        slot(CHAMPION, _observers(settings)),
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
    shadow = None
    if trial is not None and trial.settings.shadow:
        shadow = Shadow(metrics.shadow_lists, metrics.shadow_overlap)
    models, thread = ReadersModels(slot, trial, shadow), ModelThread()
    watch = PromotionWatch(settings, trial, metrics.rollbacks)
    if settings.database_url is not None:  # else there is no record of what was promoted
        slot.observe(watch)
    database = Database.of(settings, metrics.database_reads)
    local_cache: LocalCache[Any] = LocalCache(
        settings.cache.local_bytes, settings.cache.local_seconds
    )
    security = compose_security(settings, database)
    generations = Generations(settings.home / "generations")
    return Components(
        slot=slot,
        trial=trial,
        models=models,
        thread=thread,
        announcements=_announcements(settings, slots),
        cache=cache,
        bulk_cache=bulk_cache,
        recommendations=Recommendations(models, thread, cache, settings.cache, name, metrics),
        shelves=Shelves(slot, thread, metrics),
        warming=CacheWarming(
            slot, thread, bulk_cache, settings.cache, name, counted=metrics.warm_ups
        ),
        kept=AnswerKeeper(
            slot, cache, bulk_cache, local_cache, generations, metrics, settings.cache, name
        ),
        metrics=metrics,
        access_log=AccessLog(settings.api.access_log_share),
        watch=watch,
        flags=Flags(settings),
        model_name=name,
        security=security,
        database=database,
        figures=RecentFigures(database, name),
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
        readers=Readers(
            slot, database, generations, ErasureKey.of(settings), partial(_forget, settings)
        ),
        browsing=BrowsingSessions(_guarded(settings), slot, settings.browsing),
        releases=Releases(settings, slot.registry),
        webhooks=Webhooks(settings, security.accounts),
        generations=generations,
        local_cache=local_cache,
        poll_seconds=settings.api.poll_seconds,
    )


def _forget(settings: Settings, user_id: str, library: str) -> Told:
    uri = SecretStr(tracking_uri(settings))
    named = settings.model_copy(update={"mlflow_tracking_uri": uri})
    return forget(named, user_id, library=library, reason="asked of the service")


def _observers(settings: Settings) -> list[SlotObserver]:
    observers: list[SlotObserver] = [SettledMemory()]
    if settings.database_url is not None:  # else there is no outbox to write to
        url = settings.database_url.get_secret_value()
        observers.append(RefusalEvents(url, settings.registered_model))
    return observers


def _cache(settings: Settings, timeout_seconds: float) -> RecommendationCache:
    if settings.redis_url is None:
        return NullCache()
    return RedisCache(settings.redis_url.get_secret_value(), timeout_seconds=timeout_seconds)


def _guarded(settings: Settings) -> GuardedRedis | None:
    if settings.redis_url is None:
        return None
    url = settings.redis_url.get_secret_value()
    return GuardedRedis(url, timeout_seconds=BROWSING_TIMEOUT_SECONDS)


def _announcements(settings: Settings, slots: Sequence[ModelSlot]) -> Announcements | None:
    if settings.redis_url is None:
        return None

    def look() -> None:
        for slot in slots:
            slot.look()

    channel = champion_channel(settings.registered_model)
    return Announcements(settings.redis_url.get_secret_value(), channel, look)
