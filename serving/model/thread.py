"""The thread in which models work, and lists that are made together."""

import asyncio
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from typing import NamedTuple, TypeVar
from weakref import WeakValueDictionary

from pipelines.data.interactions import History
from pipelines.models.answers import Answer
from pipelines.models.reranking import UNCHANGED, Reranking
from serving.gathering import Gathering
from serving.model.slot import LoadedModel

READERS_AT_ONCE = 16
"""Of whom lists are made in one go: some ten milliseconds, for which all others wait."""

SWITCH_SECONDS = 0.0001
"""How long a thread keeps the interpreter that another one waits for."""

Item = TypeVar("Item")
T = TypeVar("T")


class Wish(NamedTuple):
    """What is wanted of a list beside for whom it is: `n` books behind the first `skip`."""

    n: int
    skip: int = 0
    explain: bool = False
    reranking: Reranking = UNCHANGED


class ModelThread:
    """
    Lets models work on one thing after the other, in the order asked.

    One thread a worker: between what is compiled and holds no lock of the interpreter, a model
    works in many steps of a few microseconds, for which threads contend for it. Whoever wants the
    lock gets it after `SWITCH_SECONDS`, in the whole process: at five milliseconds, as Python has
    it, a model with several such steps waited for the loop until this had nothing left to do.
    """

    def __init__(self) -> None:
        sys.setswitchinterval(SWITCH_SECONDS)
        self._thread = ThreadPoolExecutor(1, "model")
        # Weakly, so that each lives as long as somebody waits in it, and no model any longer.
        self._gatherings: WeakValueDictionary[tuple[str, Wish], Gathering[History, Answer]] = (
            WeakValueDictionary()
        )

    async def run(self, work: Callable[[], T]) -> T:
        """What `work` gives, once its turn has come; it should be short."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, copy_context().run, work)

    async def answer(self, model: LoadedModel, history: History, wish: Wish) -> Answer:
        """The list for one history, made together with those that are wished for likewise."""
        key = (model.label, wish)
        gathering = self._gatherings.get(key)
        if gathering is None:

            async def ask(histories: list[History]) -> list[Answer]:
                return await self.run(
                    lambda: model.bundle.recommend_to(histories, **wish._asdict())
                )

            gathering = self._gatherings[key] = Gathering(ask, at_once=READERS_AT_ONCE)
        return await gathering.answer(history)

    async def in_pieces(
        self, work: Callable[[Sequence[Item]], list[T]], items: Sequence[Item]
    ) -> list[T]:
        """What `work` makes of some readers at a time; others have their turns in between."""
        made: list[T] = []
        for start in range(0, len(items), READERS_AT_ONCE):
            made += await self.run(partial(work, items[start : start + READERS_AT_ONCE]))
        return made

    def close(self) -> None:
        """Begin nothing more."""
        self._thread.shutdown(wait=False, cancel_futures=True)
