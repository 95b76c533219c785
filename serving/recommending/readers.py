"""What readers can ask for themselves; knows nothing of HTTP."""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple, TypeVar

import structlog

from pipelines.data.interactions import History
from pipelines.errors import CacheUnavailableError
from pipelines.models.answers import Read
from pipelines.models.lists import FALLBACK
from pipelines.models.reranking import UNCHANGED, Reranking
from pipelines.service_settings import CacheSettings
from pipelines.storage.cache_keys import list_key, recent_key
from serving.caching.cache import RecommendationCache
from serving.caching.local_cache import SingleFlight
from serving.caching.written_list import WrittenList
from serving.feedback.recent import reads_of
from serving.model.ab_test import ReadersModels
from serving.model.slot import LoadedModel
from serving.model.thread import ModelThread, Wish
from serving.recommending.paging import (
    Page,
    ServedAnswer,
    ServedList,
    cursor_behind,
    skipped,
    turned,
    unknown_books,
)
from serving.telemetry.metrics import ServingMetrics

log = structlog.get_logger()

CACHE = "cache"
Given = TypeVar("Given", ServedAnswer, ServedList)
Reader = str | Sequence[Read]
"""The id of one, or what somebody has read."""


class Recommendations:
    """
    Answers from the model in service, readers' plain lists through the cache.

    Every method takes the model once and raises NoModelError where there is none; UnknownPartError
    where a part is asked for that it does not have; CursorError for a cursor that leads nowhere.
    """

    def __init__(
        self,
        models: ReadersModels,
        thread: ModelThread,
        cache: RecommendationCache,
        settings: CacheSettings,
        model_name: str,
        metrics: ServingMetrics,
    ) -> None:
        self._models = models
        self._thread = thread
        self._cache = cache
        self._settings = settings
        self._model_name = model_name
        self._lists = metrics.recommendations
        self._operations = metrics.cache_operations
        self._flights = SingleFlight()

    async def recommend(
        self, user_id: str, page: Page, *, explain: bool = False, reranking: Reranking = UNCHANGED
    ) -> ServedList:
        """Books for a reader, best first; popular ones for an unknown reader."""
        model = self._models.loaded_for(user_id)
        skip = skipped(page.cursor, model.label)
        wish = Wish(page.n, skip, explain, reranking)
        if reranking == UNCHANGED and skip + page.n <= self._settings.list_length:
            books, source = await self._cached_or_computed(model, user_id, wish)
        else:
            history = await self._history(model, user_id)
            answer = await self._thread.answer(model, history, wish)
            books, source = WrittenList.of(answer.items), answer.source
        return self._listed(model, user_id, page, wish, books, source)

    def _listed(
        self,
        model: LoadedModel,
        user_id: str,
        page: Page,
        wish: Wish,
        books: WrittenList,
        source: str,
    ) -> ServedList:
        known = model.bundle.users.parse(user_id)
        cursor = cursor_behind(model, page, wish.skip, len(books))
        asked_for = user_id if known is None else known
        return self._given(
            ServedList(books, source, model.number, asked_for, cursor, explain=wish.explain)
        )

    async def recommend_for(
        self, read: Sequence[Read], page: Page, *, explain: bool, reranking: Reranking
    ) -> ServedAnswer:
        """Books for somebody who read these, whoever they are."""
        model = self._models.loaded()
        skip = skipped(page.cursor, model.label)
        history = model.bundle.history_of(read)
        answer = await self._thread.answer(model, history, Wish(page.n, skip, explain, reranking))
        unknown = unknown_books(model, [book.book_id for book in read])
        return self._given(turned(model, page, skip, answer, unknown=unknown))

    async def rerank(
        self, reader: Reader, book_ids: Sequence[str], n: int, *, explain: bool, wishes: Reranking
    ) -> ServedAnswer:
        """Some books in the order in which they suit a reader; unknown ones are left out."""
        named = reader if isinstance(reader, str) else None
        model = self._models.loaded() if named is None else self._models.loaded_for(named)
        filters = wishes.filters.model_copy(update={"only": tuple(book_ids)})
        among = wishes.model_copy(update={"filters": filters})
        if isinstance(reader, str):
            history = await self._history(model, reader)
        else:
            history = model.bundle.history_of(reader)
        answer = await self._thread.answer(model, history, Wish(n, 0, explain, among))
        unknown = unknown_books(model, book_ids)
        return self._given(ServedAnswer(answer.items, answer.source, model.number, unknown=unknown))

    async def recommend_to_many(
        self, user_ids: Sequence[str], n: int, *, explain: bool, reranking: Reranking
    ) -> list[ServedList]:
        """A list for each reader, in the order asked; the same as each would get alone."""
        groups: dict[str, tuple[LoadedModel, list[str]]] = {}
        for user_id in dict.fromkeys(user_ids):
            model = self._models.loaded_for(user_id)
            groups.setdefault(model.label, (model, []))[1].append(user_id)
        given: dict[str, ServedList] = {}
        for model, readers in groups.values():
            heard = await self._heard(readers)
            write = partial(_written, model, Wish(n, 0, explain, reranking))
            answers = await self._thread.in_pieces(write, [*zip(readers, heard, strict=True)])
            given |= dict(zip(readers, answers, strict=True))
        return [self._given(given[user_id]) for user_id in user_ids]

    def _given(self, answer: Given) -> Given:
        self._lists.labels(answer.source, str(answer.model_version)).inc()
        return answer

    async def _history(self, model: LoadedModel, user_id: str) -> History:
        """What a reader has met, with what was heard of them since the model learnt."""
        (heard,) = await self._heard([user_id])
        return model.bundle.history_of(reads_of(heard), user_id)

    async def _heard(self, user_ids: Sequence[str]) -> list[bytes | None]:
        """What was heard of readers lately, as it is kept; None where nothing is known."""
        keys = [recent_key(self._model_name, user_id) for user_id in user_ids]
        return await self._values(keys) or [None] * len(keys)

    async def _look(self, model: LoadedModel, user_id: str) -> "_Looked":
        """What the cache has of a reader's plain list."""
        length = self._settings.list_length
        key = list_key(self._model_name, model.label, length, user_id)
        found = await self._values([key, recent_key(self._model_name, user_id)])
        heard = found[1] if found else None
        if heard:
            key = list_key(self._model_name, model.label, length, user_id, heard)
            found = await self._values([key])
        if found is None:
            return _Looked(key, heard, None, cache_answers=False)
        # Of a stranger nothing is kept: that it is not there says nothing of the cache.
        is_missed = heard is not None or model.bundle.users.parse(user_id) is not None
        whole = self._read(found[0]) if found[0] is not None and is_missed else None
        return _Looked(key, heard, whole, is_missed=is_missed and found[0] is None)

    async def _cached_or_computed(
        self, model: LoadedModel, user_id: str, part: Wish
    ) -> tuple[WrittenList, str]:
        """
        A part of a reader's plain list, and where it came from.

        What is kept is the whole, with reasons; where nothing is kept, no more is made than asked.
        """
        looked = await self._look(model, user_id)
        if looked.whole is not None:
            return looked.whole.page(part.n, part.skip), CACHE
        if looked.is_missed:
            self._operations.labels("miss").inc()
        is_kept = looked.cache_answers and self._cache.keeps
        wanted = Wish(self._settings.list_length, explain=True) if is_kept else part

        async def compute() -> tuple[WrittenList, str]:
            history = model.bundle.history_of(reads_of(looked.heard), user_id)
            answer = await self._thread.answer(model, history, wanted)
            books = WrittenList.of(answer.items)
            if is_kept and answer.source != FALLBACK:
                await self._store(looked.key, books)
            return books, answer.source

        books, source = await self._flights.once((looked.key, wanted), compute)
        return books.page(part.n, part.skip - wanted.skip), source

    async def _values(self, keys: Sequence[str]) -> list[bytes | None] | None:
        """None where the cache is away."""
        try:
            return await self._cache.get_many(keys)
        except CacheUnavailableError:  # the cache has logged it
            self._operations.labels("unavailable").inc()
            return None

    def _read(self, value: bytes) -> WrittenList | None:
        self._operations.labels("hit").inc()
        books = WrittenList.read(value)
        if books is None:
            log.warning("cached_list_unreadable")  # not which: the key names the reader
        return books

    async def _store(self, key: str, books: WrittenList) -> None:
        try:
            await self._cache.put({key: books.value}, self._settings.ttl_seconds)
        except CacheUnavailableError:  # the cache has logged it
            self._operations.labels("unavailable").inc()
        else:
            self._operations.labels("stored").inc()


class _Looked(NamedTuple):
    """What the cache had of a reader."""

    key: str
    """Where their list is kept."""
    heard: bytes | None
    """What was heard of them since the model learnt."""
    whole: WrittenList | None
    """All of their list, with reasons."""
    is_missed: bool = False
    """Whether it would be there, had anybody made it."""
    cache_answers: bool = True


def _written(
    model: LoadedModel, wish: Wish, readers: Sequence[tuple[str, bytes | None]]
) -> list[ServedList]:
    """A list for each reader, and what was heard of them; the work of the model's thread."""
    histories = [model.bundle.history_of(reads_of(heard), user_id) for user_id, heard in readers]
    answers = model.bundle.recommend_to(histories, **wish._asdict())
    ids = [user_id for user_id, _ in readers]
    known = map(model.bundle.users.parse, ids)
    return [
        ServedList(
            WrittenList.of(answer.items),
            answer.source,
            model.number,
            user_id if found is None else found,
            explain=wish.explain,
        )
        for user_id, found, answer in zip(ids, known, answers, strict=True)
    ]
