"""What can be asked of the books, whoever asks; knows nothing of HTTP."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

from pipelines.errors import BookNotFoundError
from pipelines.models.answers import Answer
from pipelines.models.reranking import Reranking
from serving.model.slot import LoadedModel, ModelSlot
from serving.model.thread import ModelThread
from serving.recommending.paging import Page, ServedAnswer, skipped, turned, unknown_books
from serving.telemetry.metrics import ServingMetrics

Run = Callable[[Callable[[], Answer]], Awaitable[Answer]]
"""Where an answer is made."""


class Shelves:
    """
    Books near books, for a text, in fashion; and what the catalogue says of them.

    Every method takes the model once and raises NoModelError where there is none; UnknownPartError
    where a part is asked for that it does not have; CursorError for a cursor that leads nowhere.
    """

    def __init__(self, slot: ModelSlot, thread: ModelThread, metrics: ServingMetrics) -> None:
        self._slot = slot
        self._thread = thread
        self._lists = metrics.recommendations

    async def similar(
        self, book_ids: Sequence[str], page: Page, reranking: Reranking
    ) -> ServedAnswer:
        """
        Books like some books.

        Raises:
            BookNotFoundError: none of them is in the catalogue.
        """
        model = self._slot.loaded()

        def ask(skip: int) -> Answer:
            near = model.bundle.similar(book_ids, page.n, skip=skip, reranking=reranking)
            if near is None:
                raise BookNotFoundError(book_ids[0])
            return near

        known = model.bundle.books.parse(book_ids[0])
        asked_for = book_ids[0] if known is None else known
        unknown = unknown_books(model, book_ids)
        return await self._asked(model, page, ask, asked_for=asked_for, unknown=unknown)

    async def search(self, text: str, page: Page, reranking: Reranking) -> ServedAnswer:
        """
        Books that fit a text.

        Raises:
            NoSearchError: the model cannot search.
        """
        model = self._slot.loaded()

        def ask(skip: int) -> Answer:
            return model.bundle.search(text, page.n, skip=skip, reranking=reranking)

        # Not in the models' thread: whoever turns texts into vectors may be another server.
        return await self._asked(model, page, ask, run=asyncio.to_thread)

    async def popular(self, page: Page, reranking: Reranking) -> ServedAnswer:
        """What most readers like."""
        model = self._slot.loaded()

        def ask(skip: int) -> Answer:
            return model.bundle.popular(page.n, skip=skip, reranking=reranking)

        return await self._asked(model, page, ask)

    async def trending(self, page: Page, days: int, reranking: Reranking) -> ServedAnswer:
        """What readers have liked lately; what is popular where nobody knows when."""
        model = self._slot.loaded()

        def ask(skip: int) -> Answer:
            return model.bundle.trending(
                page.n, half_life_days=days, skip=skip, reranking=reranking
            )

        return await self._asked(model, page, ask)

    async def book(self, book_id: str) -> dict[str, Any]:
        """
        The catalogue's entry of one book.

        Raises:
            BookNotFoundError: the book is not in the catalogue.
        """
        entry = self._slot.loaded().bundle.book(book_id)
        if entry is None:
            raise BookNotFoundError(book_id)
        return entry

    async def genres(self) -> list[tuple[str, int]]:
        """Each genre of the catalogue and how many books are of it, large ones first."""
        catalogue = self._slot.loaded().bundle.catalogue
        return await asyncio.to_thread(lambda: catalogue.genre_sizes)

    async def _asked(
        self,
        model: LoadedModel,
        page: Page,
        ask: Callable[[int], Answer],
        *,
        run: Run | None = None,
        **told: Any,
    ) -> ServedAnswer:
        skip = skipped(page.cursor, model.label)
        made = await (run or self._thread.run)(partial(ask, skip))
        answer = turned(model, page, skip, made, **told)
        self._lists.labels(answer.source, str(answer.model_version)).inc()
        return answer
