"""What readers can ask; knows nothing of HTTP."""

import asyncio
from dataclasses import dataclass
from typing import Any

import structlog
from prometheus_client import Counter

from pipelines.data.interactions import Id
from pipelines.errors import BookNotFoundError, CacheUnavailableError
from pipelines.models.bundle import Answer, Recommendation
from pipelines.settings import CacheSettings
from pipelines.storage.cache_keys import list_key
from serving.ab_test import ReadersModels
from serving.cache import RecommendationCache, decode, encode
from serving.model_slot import LoadedModel

log = structlog.get_logger()

CACHE = "cache"
FALLBACK = "fallback"


@dataclass(frozen=True)
class ServedAnswer:
    """
    A list as it leaves the service.

    `source` is `cache`, `model` or `fallback`; `asked_for` is the reader's or the book's id, in the
    catalogue's type where it is known, else as asked.
    """

    items: tuple[Recommendation, ...]
    source: str
    model_version: int
    asked_for: Id = ""


class Recommendations:
    """
    Answers from the model in service, readers' lists through the cache.

    Every method takes the model once and raises NoModelError where there is none.

    Args:
        operations: Counts how reads and writes of the cache end, by `result`.
    """

    def __init__(
        self,
        models: ReadersModels,
        cache: RecommendationCache,
        settings: CacheSettings,
        model_name: str,
        operations: Counter,
    ) -> None:
        self._models = models
        self._cache = cache
        self._settings = settings
        self._model_name = model_name
        self._operations = operations

    async def recommend(self, user_id: str, n: int) -> ServedAnswer:
        """At most `n` books for a reader, best first; popular ones for an unknown reader."""
        model = self._models.loaded_for(user_id)
        known = model.bundle.users.parse(user_id)
        if known is None or n > self._settings.list_length:
            answer = await asyncio.to_thread(model.bundle.recommend, user_id, n)
            asked_for = user_id if known is None else known
            return ServedAnswer(answer.items, answer.source, model.number, asked_for)
        answer = await self._cached_or_computed(model, user_id)
        return ServedAnswer(answer.items[:n], answer.source, model.number, known)

    async def similar(self, book_id: str, n: int) -> ServedAnswer:
        """
        At most `n` books like one book.

        Raises:
            BookNotFoundError: the book is not in the catalogue.
        """
        model = self._models.loaded()
        answer = await asyncio.to_thread(model.bundle.similar, book_id, n)
        if answer is None:
            raise BookNotFoundError(book_id)
        known = model.bundle.books.parse(book_id)
        asked_for = book_id if known is None else known
        return ServedAnswer(answer.items, answer.source, model.number, asked_for)

    async def popular(self, n: int) -> ServedAnswer:
        """The `n` most popular books."""
        model = self._models.loaded()
        answer = await asyncio.to_thread(model.bundle.popular, n)
        return ServedAnswer(answer.items, answer.source, model.number)

    async def book(self, book_id: str) -> dict[str, Any]:
        """
        The catalogue's entry of one book.

        Raises:
            BookNotFoundError: the book is not in the catalogue.
        """
        entry = self._models.loaded().bundle.book(book_id)
        if entry is None:
            raise BookNotFoundError(book_id)
        return entry

    async def _cached_or_computed(self, model: LoadedModel, user_id: str) -> Answer:
        """A list of the cached length, so that what is cached and what is computed are equal."""
        length = self._settings.list_length
        key = list_key(self._model_name, model.label, length, user_id)
        items = await self._lookup(key)
        if items is not None:
            return Answer(items, CACHE)
        answer = await asyncio.to_thread(model.bundle.recommend, user_id, length)
        if answer.source != FALLBACK:
            await self._store(key, answer.items)
        return answer

    async def _lookup(self, key: str) -> tuple[Recommendation, ...] | None:
        try:
            value = await self._cache.get(key)
        except CacheUnavailableError:  # the cache has logged it
            self._operations.labels("unavailable").inc()
            return None
        self._operations.labels("miss" if value is None else "hit").inc()
        if value is None:
            return None
        items = decode(value)
        if items is None:
            log.warning("cached_list_unreadable")  # not which: the key names the reader
        return items

    async def _store(self, key: str, items: tuple[Recommendation, ...]) -> None:
        try:
            await self._cache.put({key: encode(items)}, self._settings.ttl_seconds)
        except CacheUnavailableError:  # the cache has logged it
            self._operations.labels("unavailable").inc()
        else:
            self._operations.labels("stored").inc()
