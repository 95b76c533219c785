"""One answer to what several requests ask at the same time."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from pipelines.errors import CacheUnavailableError

Asked = TypeVar("Asked")
Told = TypeVar("Told")


class Gathering(Generic[Asked, Told]):
    """
    Gathers questions while others are being answered, and then has all of them answered together.

    Whoever asks alone waits for nobody.

    Args:
        ask: Answers some questions, in their order.
        at_once: How many go together at most: the more, the longer they wait for each other.
    """

    def __init__(
        self, ask: Callable[[list[Asked]], Awaitable[Sequence[Told]]], *, at_once: int
    ) -> None:
        self._ask = ask
        self._at_once = at_once
        self._waiting: list[tuple[Asked, asyncio.Future[Told]]] = []
        self._asking: asyncio.Task[None] | None = None

    async def answer(self, question: Asked) -> Told:
        """The answer to one question; raises what asking for it, or for those beside it, does."""
        answer: asyncio.Future[Told] = asyncio.get_running_loop().create_future()
        self._waiting.append((question, answer))
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask_all())
        return await answer

    async def _ask_all(self) -> None:
        try:
            while self._waiting:
                asked = self._waiting[: self._at_once]
                del self._waiting[: self._at_once]
                # Some may have been given up.
                await self._ask_for([each for each in asked if not each[1].done()])
        finally:
            self._asking = None

    async def _ask_for(self, asked: list[tuple[Asked, "asyncio.Future[Told]"]]) -> None:
        if not asked:
            return
        try:
            told = await self._ask([question for question, _ in asked])
        except Exception as error:  # noqa: BLE001 - whoever waits has to hear of it
            for _, answer in asked:
                if not answer.done():
                    answer.set_exception(_of_its_own(error))
            return
        for (_, answer), own in zip(asked, told, strict=True):
            if not answer.done():
                answer.set_result(own)


def _of_its_own(error: Exception) -> Exception:
    """An error that is raised in several places gathers the traces of all of them."""
    return CacheUnavailableError(str(error)) if isinstance(error, CacheUnavailableError) else error
