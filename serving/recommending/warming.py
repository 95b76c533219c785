"""
Filling the cache for a model before its readers come.

One worker computes, and every worker can tell how far it is: the state lies in Redis beside a lock,
both under the model's version and short-lived, so a worker that dies leaves nothing to clean up.
"""

import asyncio
import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import structlog
from prometheus_client import Counter
from pydantic import TypeAdapter, ValidationError

from pipelines.errors import CacheUnavailableError
from pipelines.models.lists import FALLBACK
from pipelines.service_settings import CacheSettings
from pipelines.storage.cache_keys import cache_key, list_key
from serving.caching.cache import RecommendationCache
from serving.caching.written_list import WrittenList
from serving.model.slot import LoadedModel, ModelSlot
from serving.model.thread import ModelThread, Wish

log = structlog.get_logger()

BATCH_SIZE = 50
"""Readers computed between two writes, and two looks at whether the model is still in service."""

LEASE_SECONDS = 60
"""How long the lock and the state outlive the last batch of a worker that died."""


@dataclass(frozen=True)
class WarmState:
    """How far the warming of one model version is, in readers."""

    version: int
    total: int
    done: int = 0
    outcome: Literal["running", "complete", "superseded", "failed"] = "running"
    seconds: float = 0.0

    @property
    def finished(self) -> bool:
        """Whether nothing more will happen, well or badly; `outcome` says which."""
        return self.outcome != "running"


_STATES = TypeAdapter(WarmState)


class CacheWarming:
    """
    Computes the lists of many readers and stores them under the version in service.

    Args:
        slot: Holds the model; a warm-up stops when it holds another.
        thread: Where it works, between what readers ask.
        cache: Should be patient: a batch is a large write that no reader waits for.
    """

    def __init__(
        self,
        slot: ModelSlot,
        thread: ModelThread,
        cache: RecommendationCache,
        settings: CacheSettings,
        model_name: str,
        *,
        counted: Counter,
    ) -> None:
        self._slot = slot
        self._thread = thread
        self._cache = cache
        self._settings = settings
        self._model_name = model_name
        self._counted = counted
        self._states: dict[int, WarmState] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def warm(self) -> WarmState:
        """
        Begin to warm, or join the warm-up that runs for this version in any worker.

        Raises:
            NoModelError: nothing to warm with.
            CacheUnavailableError: nowhere to put it.
        """
        model = self._slot.loaded()
        if not await self._cache.claim(self._key(model, "warm-up-lock"), LEASE_SECONDS):
            running = await self.state()
            return running or WarmState(model.number, total=len(model.bundle.users))
        ids = [str(user_id) for user_id in model.bundle.users]
        state = WarmState(model.number, total=len(ids))
        await self._publish(model, state, LEASE_SECONDS)
        task = asyncio.create_task(self._run(model, ids, state))
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return state

    async def state(self) -> WarmState | None:
        """
        How the last warm-up of the version in service stands; None if there was none.

        Raises:
            NoModelError: no version is in service.
        """
        model = self._slot.loaded()
        own = self._states.get(model.number)
        if own is not None and not own.finished:
            return own
        with contextlib.suppress(CacheUnavailableError, ValidationError):
            value = await self._cache.get(self._key(model, "warm-up"))
            if value is not None:
                return _STATES.validate_json(value)
        return own

    async def stop(self) -> None:
        """Give up what is running and wait until it has."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _run(self, model: LoadedModel, ids: list[str], state: WarmState) -> None:
        started = time.monotonic()
        state = replace(state, outcome="failed")  # unless it comes to another end
        try:
            for start in range(0, len(ids), BATCH_SIZE):
                if self._slot.current is None or self._slot.current.label != model.label:
                    state = replace(state, outcome="superseded")
                    return
                batch = ids[start : start + BATCH_SIZE]
                await self._warm_batch(model, batch)
                state = replace(
                    state, done=state.done + len(batch), seconds=_seconds_since(started)
                )
                await self._publish(model, replace(state, outcome="running"), LEASE_SECONDS)
            state = replace(state, outcome="complete")
        except CacheUnavailableError as error:
            log.warning("cache_not_warmed", version=model.number, reason=str(error))
        finally:
            await self._finish(model, replace(state, seconds=_seconds_since(started)))

    async def _warm_batch(self, model: LoadedModel, ids: list[str]) -> None:
        values = dict(await self._thread.in_pieces(partial(self._compute, model), ids))
        if values:
            await self._cache.put(values, self._settings.ttl_seconds)

    def _compute(self, model: LoadedModel, ids: Sequence[str]) -> list[tuple[str, bytes]]:
        """Keys and lists of those readers who have one of their own."""
        bundle, wish = model.bundle, Wish(self._settings.list_length, explain=True)
        histories = [bundle.history_of((), user_id) for user_id in ids]
        answers = bundle.recommend_to(histories, **wish._asdict())
        return [
            (
                list_key(self._model_name, model.label, wish.n, user_id),
                WrittenList.of(a.items).value,
            )
            for user_id, a in zip(ids, answers, strict=True)
            if a.source != FALLBACK
        ]

    async def _publish(self, model: LoadedModel, state: WarmState, ttl_seconds: int) -> None:
        notes = {self._key(model, "warm-up"): _STATES.dump_json(state)}
        if not state.finished:
            notes[self._key(model, "warm-up-lock")] = b"1"
        await self._cache.put(notes, ttl_seconds)
        self._states[model.number] = state

    async def _finish(self, model: LoadedModel, state: WarmState) -> None:
        self._states[model.number] = state
        self._counted.labels(state.outcome).inc()
        log.info("warm_up_finished", **vars(state))
        with contextlib.suppress(CacheUnavailableError):
            await self._publish(model, state, self._settings.ttl_seconds)
            await self._cache.drop(self._key(model, "warm-up-lock"))

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("warm_up_failed", exc_info=task.exception())

    def _key(self, model: LoadedModel, kind: str) -> str:
        return cache_key(self._model_name, model.label, kind)


def _seconds_since(started: float) -> float:
    return round(time.monotonic() - started, 3)
