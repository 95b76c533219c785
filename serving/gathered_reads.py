"""One question for what several requests want to know at the same time."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from pipelines.errors import CacheUnavailableError

MOST_AT_ONCE = 64
"""Requests whose keys go into one question; more would have to wait too long for each other."""

Values = list[bytes | None]


class GatheredReads:
    """
    Gathers keys while a question is under way, and asks for them all in the next one.

    A question costs a client more than what it asks for; a request alone waits for nobody.

    Args:
        ask: Gives the values of keys, in their order; raises CacheUnavailableError.
    """

    def __init__(self, ask: Callable[[Sequence[str]], Awaitable[Values]]) -> None:
        self._ask = ask
        self._waiting: list[tuple[Sequence[str], asyncio.Future[Values]]] = []
        self._asking: asyncio.Task[None] | None = None

    async def values(self, keys: Sequence[str]) -> Values:
        """
        The values of some keys.

        Raises:
            CacheUnavailableError: they cannot be had.
        """
        answer: asyncio.Future[Values] = asyncio.get_running_loop().create_future()
        self._waiting.append((keys, answer))
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask_all())
        return await answer

    async def _ask_all(self) -> None:
        try:
            while self._waiting:
                asked = self._waiting[:MOST_AT_ONCE]
                del self._waiting[:MOST_AT_ONCE]
                await self._ask_for(asked)
        finally:
            self._asking = None

    async def _ask_for(self, asked: list[tuple[Sequence[str], "asyncio.Future[Values]"]]) -> None:
        try:
            values = iter(await self._ask([key for keys, _ in asked for key in keys]))
        except Exception as error:  # noqa: BLE001 - whoever waits has to hear of it
            for _, answer in asked:
                if not answer.done():  # its request may have been given up
                    answer.set_exception(_of_its_own(error))
            return
        for keys, answer in asked:
            own = [next(values) for _ in keys]
            if not answer.done():
                answer.set_result(own)


def _of_its_own(error: Exception) -> Exception:
    """An error that is raised in several places gathers the traces of all of them."""
    return CacheUnavailableError(str(error)) if isinstance(error, CacheUnavailableError) else error
