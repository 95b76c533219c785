"""What readers can ask for themselves; knows nothing of HTTP."""

from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import TypeVar

from pipelines.data.interactions import History
from pipelines.models.answers import Read
from pipelines.models.lists import FALLBACK
from pipelines.models.reranking import UNCHANGED, Reranking
from pipelines.service_settings import CacheSettings
from serving.caching.cache import RecommendationCache
from serving.caching.local_cache import SingleFlight
from serving.caching.written_list import WrittenList
from serving.feedback.recent import reads_of
from serving.model.ab_test import ReadersModels
from serving.model.slot import LoadedModel
from serving.model.thread import ModelThread, Wish
from serving.recommending.kept_lists import KeptLists, Looked
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

CACHE = "cache"
LOOKED_AT_ONCE = 64
"""Readers whose lists are asked for together: of usual length, half a megabyte."""
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
        self._list_length = settings.list_length
        self._kept = KeptLists(cache, settings, model_name, metrics.cache_operations)
        self._lists = metrics.recommendations
        self._flights = SingleFlight()

    async def recommend(
        self, user_id: str, page: Page, *, explain: bool = False, reranking: Reranking = UNCHANGED
    ) -> ServedList:
        """Books for a reader, best first; popular ones for an unknown reader."""
        model = self._models.loaded_for(user_id)
        skip = skipped(page.cursor, model.label)
        wish = Wish(page.n, skip, explain, reranking)
        if self._is_plain(wish):
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
        cursor = cursor_behind(model, page, wish.skip, len(books))
        return self._given(_served(model, user_id, books, source, wish, cursor))

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
        wish = Wish(n, 0, explain, reranking)
        given: dict[str, ServedList] = {}
        for model, readers in groups.values():
            for start in range(0, len(readers), LOOKED_AT_ONCE):
                some = readers[start : start + LOOKED_AT_ONCE]
                given |= await self._lists_of(model, some, wish)
        answers = [given[user_id] for user_id in user_ids]
        for (source, version), count in Counter(
            (a.source, a.model_version) for a in answers
        ).items():
            self._lists.labels(source, str(version)).inc(count)
        return answers

    def _given(self, answer: Given) -> Given:
        self._lists.labels(answer.source, str(answer.model_version)).inc()
        return answer

    def _is_plain(self, wish: Wish) -> bool:
        """Whether it is a part of what the cache keeps."""
        return wish.reranking == UNCHANGED and wish.skip + wish.n <= self._list_length

    async def _history(self, model: LoadedModel, user_id: str) -> History:
        """What a reader has met, with what was heard of them since the model learnt."""
        (heard,) = await self._kept.heard([user_id])
        return model.bundle.history_of(reads_of(heard), user_id)

    def _wanted(self, looked: Looked, part: Wish) -> Wish:
        """
        What is made of a list that was not found.

        What is kept is the whole, with reasons; where nothing is kept, no more is made than asked.
        """
        return Wish(self._list_length, explain=True) if looked.is_kept else part

    async def _cached_or_computed(
        self, model: LoadedModel, user_id: str, part: Wish
    ) -> tuple[WrittenList, str]:
        """A part of a reader's plain list, and where it came from."""
        (looked,) = await self._kept.look(model, [user_id], part.skip + part.n)
        if looked.books is not None:
            return looked.books.page(part.n, part.skip), CACHE
        self._kept.missed(looked.is_missed)
        wanted = self._wanted(looked, part)

        async def compute() -> tuple[WrittenList, str]:
            history = model.bundle.history_of(reads_of(looked.heard), user_id)
            answer = await self._thread.answer(model, history, wanted)
            books = WrittenList.of(answer.items)
            if looked.is_kept and answer.source != FALLBACK:
                await self._kept.store({looked.key: books})
            return books, answer.source

        books, source = await self._flights.once(
            (model.label, user_id, looked.heard, wanted), compute
        )
        return books.page(part.n, part.skip - wanted.skip), source

    async def _lists_of(
        self, model: LoadedModel, user_ids: Sequence[str], wish: Wish
    ) -> dict[str, ServedList]:
        """A list for each of some readers, from the cache where it has it."""
        if self._is_plain(wish):
            looked = await self._kept.look(model, user_ids, wish.n)
        else:
            looked = [Looked("", heard) for heard in await self._kept.heard(user_ids)]
        answers = {
            user_id: (one.books, CACHE)
            for user_id, one in zip(user_ids, looked, strict=True)
            if one.books is not None
        }
        missing = [each for each in zip(user_ids, looked, strict=True) if each[1].books is None]
        if missing:
            answers |= await self._made(model, missing, wish)
        return {user_id: _served(model, user_id, *answers[user_id], wish) for user_id in user_ids}

    async def _made(
        self, model: LoadedModel, missing: Sequence[tuple[str, Looked]], wish: Wish
    ) -> dict[str, tuple[WrittenList, str]]:
        """Lists of readers who were looked for together, and whom nobody waits for but one."""
        self._kept.missed(sum(looked.is_missed for _, looked in missing))
        wanted = self._wanted(missing[0][1], wish)
        made = await self._thread.in_pieces(partial(_written, model, wanted), missing)
        found = [(*each, *answer) for each, answer in zip(missing, made, strict=True)]
        await self._kept.store(
            {
                looked.key: books
                for _, looked, books, source in found
                if looked.is_kept and source != FALLBACK
            }
        )
        return {user_id: (books.page(wish.n), source) for user_id, _, books, source in found}


def _written(
    model: LoadedModel, wish: Wish, readers: Sequence[tuple[str, Looked]]
) -> list[tuple[WrittenList, str]]:
    """A list for each reader, and where it comes from; the work of the model's thread."""
    histories = [model.bundle.history_of(reads_of(one.heard), user_id) for user_id, one in readers]
    answers = model.bundle.recommend_to(histories, **wish._asdict())
    return [(WrittenList.of(answer.items), answer.source) for answer in answers]


def _served(
    model: LoadedModel,
    user_id: str,
    books: WrittenList,
    source: str,
    wish: Wish,
    cursor: str | None = None,
) -> ServedList:
    known = model.bundle.users.parse(user_id)
    asked_for = user_id if known is None else known
    return ServedList(books, source, model.number, asked_for, cursor, explain=wish.explain)
