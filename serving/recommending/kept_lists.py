"""Readers' plain lists in Redis: looked for and stored, of one reader as of many."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import structlog
from prometheus_client import Counter

from pipelines.errors import CacheUnavailableError
from pipelines.service_settings import CacheSettings
from pipelines.storage.cache_keys import list_key, recent_key
from serving.caching.cache import RecommendationCache
from serving.caching.written_list import WrittenList
from serving.model.slot import LoadedModel

log = structlog.get_logger()

Values = list[bytes | None]


class Looked(NamedTuple):
    """What the cache had of a reader."""

    key: str
    """Where their list is kept."""
    heard: bytes | None
    """What was heard of them since the model learnt."""
    books: WrittenList | None = None
    """The first of their list, with reasons."""
    is_missed: bool = False
    """Whether it would be there, had anybody made it."""
    is_kept: bool = False
    """Whether it will be, once somebody has."""


class KeptLists:
    """
    Where the cache is away nothing is found, and nothing is stored; nobody hears of it.

    Args:
        operations: Reads and writes by result, one a list.
    """

    def __init__(
        self,
        cache: RecommendationCache,
        settings: CacheSettings,
        model_name: str,
        operations: Counter,
    ) -> None:
        self._cache = cache
        self._settings = settings
        self._model_name = model_name
        self._operations = operations

    async def heard(self, user_ids: Sequence[str]) -> Values:
        """What was heard of readers lately, as it is kept; None where nothing is known."""
        found = await self._values(self._recent(user_ids), len(user_ids))
        return found or [None] * len(user_ids)

    async def look(self, model: LoadedModel, user_ids: Sequence[str], most: int) -> list[Looked]:
        """What the cache has of each reader: at most so many books, the first of their list."""
        if not self._cache.keeps:  # nor does it know what was heard of anybody
            return [Looked("", None)] * len(user_ids)
        keys, heard, values = await self._ask(model, user_ids)
        if values is None:
            return [Looked(*each) for each in zip(keys, heard, strict=True)]
        parse = model.bundle.users.parse
        looked, hits = [], 0
        for user_id, key, lines, value in zip(user_ids, keys, heard, values, strict=True):
            # Of a stranger nothing is kept: that it is not there says nothing of the cache.
            is_listed = lines is not None or parse(user_id) is not None
            if value is None or not is_listed:
                looked.append(Looked(key, lines, None, is_listed, is_kept=True))
            else:
                looked.append(Looked(key, lines, _read(value, most), is_kept=True))
                hits += 1
        if hits:
            self._operations.labels("hit").inc(hits)
        return looked

    def missed(self, count: int) -> None:
        """Count lists that are made because they were missed."""
        if count:
            self._operations.labels("miss").inc(count)

    async def store(self, lists: Mapping[str, WrittenList]) -> None:
        """Keep whole lists under their keys."""
        values = {key: books.value for key, books in lists.items()}
        if not values:
            return
        try:
            await self._cache.put(values, self._settings.ttl_seconds)
        except CacheUnavailableError:  # the cache has logged it
            self._operations.labels("unavailable").inc(len(values))
        else:
            self._operations.labels("stored").inc(len(values))

    async def _ask(
        self, model: LoadedModel, user_ids: Sequence[str]
    ) -> tuple[list[str], Values, Values | None]:
        """
        Where readers' lists lie, what was heard of them, and what lies there.

        One question; a second one for those of whom something was heard. Where either is not
        answered nothing is known to lie there.
        """
        keys = [self._key(model, user_id) for user_id in user_ids]
        found = await self._values([*keys, *self._recent(user_ids)], len(keys))
        if found is None:
            return keys, [None] * len(keys), None
        values, heard = found[: len(keys)], found[len(keys) :]
        told = [(place, lines) for place, lines in enumerate(heard) if lines]
        if not told:
            return keys, heard, values
        for place, lines in told:
            keys[place] = self._key(model, user_ids[place], lines)
        again = await self._values([keys[place] for place, _ in told], len(told))
        if again is None:
            return keys, heard, None
        for (place, _), value in zip(told, again, strict=True):
            values[place] = value
        return keys, heard, values

    def _key(self, model: LoadedModel, user_id: str, heard: bytes = b"") -> str:
        return list_key(self._model_name, model.label, self._settings.list_length, user_id, heard)

    def _recent(self, user_ids: Sequence[str]) -> list[str]:
        return [recent_key(self._model_name, user_id) for user_id in user_ids]

    async def _values(self, keys: Sequence[str], readers: int) -> Values | None:
        """None where the cache is away, which is counted for so many readers."""
        try:
            return await self._cache.get_many(keys)
        except CacheUnavailableError:  # the cache has logged it
            self._operations.labels("unavailable").inc(readers)
            return None


def _read(value: bytes, most: int) -> WrittenList | None:
    books = WrittenList.read(value, most)
    if books is None:
        log.warning("cached_list_unreadable")  # not which: the key names the reader
    return books
