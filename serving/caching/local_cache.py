"""What a worker remembers of its own answers, and the work that several requests share."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from cachetools import TLRUCache

T = TypeVar("T")

JITTER = 0.2
"""Share of its life by which an entry may end sooner, so that not all end at once."""
OVERHEAD_BYTES = 400
"""Of an entry beside its body: key, and what the cache keeps of it."""


@dataclass(frozen=True, slots=True)
class Remembered(Generic[T]):
    """An answer, and of which generation the reader was that it is for; see `Generations`."""

    answer: T
    generation: int
    n_bytes: int
    seconds: float


class LocalCache(Generic[T]):
    """
    Answers by what was asked: bounded in bytes, the one asked for longest ago goes first.

    Args:
        max_bytes: Of all entries together; 0 remembers nothing.
        ttl_seconds: The longest life of an entry.
    """

    def __init__(self, max_bytes: int, ttl_seconds: float) -> None:
        self._ttl_seconds = ttl_seconds
        self._entries: TLRUCache[Hashable, Remembered[T]] = TLRUCache(
            max_bytes,
            ttu=lambda _, entry, now: now + entry.seconds,
            getsizeof=lambda entry: entry.n_bytes + OVERHEAD_BYTES,
        )

    def get(self, key: Hashable, generation: int) -> T | None:
        """The answer, unless it is too old or the reader's taste has changed since."""
        try:
            entry = self._entries[key]  # `get` would look twice
        except KeyError:
            return None
        return entry.answer if entry.generation == generation else None

    def put(self, key: Hashable, generation: int, answer: T, n_bytes: int) -> None:
        """Remember an answer of that size; one larger than the whole cache is not."""
        life = self._ttl_seconds * (1 - JITTER * random.random())  # noqa: S311 - no secret
        try:
            self._entries[key] = Remembered(answer, generation, n_bytes, life)
        except ValueError:
            self._entries.pop(key, None)

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()

    @property
    def n_bytes(self) -> int:
        """What the entries take."""
        return int(self._entries.currsize)

    def __len__(self) -> int:
        return len(self._entries)


class SingleFlight:
    """Lets callers who want the same thing at the same time wait for one computation of it."""

    def __init__(self) -> None:
        self._tasks: dict[Hashable, asyncio.Task[Any]] = {}

    async def once(self, key: Hashable, compute: Callable[[], Awaitable[T]]) -> T:
        """
        What `compute` gives, or what it gives to whoever asked for `key` first.

        It goes on when one of the callers leaves; when it fails, it fails for all of them.
        """
        # A key is always asked for with computations of one type.
        task: asyncio.Task[T] | None = self._tasks.get(key)
        if task is None or task.done():  # it stays for a moment after its end
            task = asyncio.create_task(_awaited(compute))
            self._tasks[key] = task
            task.add_done_callback(lambda done: self._ended(key, done))
        return await asyncio.shield(task)

    def _ended(self, key: Hashable, task: asyncio.Task[T]) -> None:
        if self._tasks.get(key) is task:
            del self._tasks[key]
        if not task.cancelled():
            task.exception()  # looked at, also where every caller has left


async def _awaited(compute: Callable[[], Awaitable[T]]) -> T:
    return await compute()
