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
        # Its own, for entries are also put while something else draws in its turn.
        self._chance = random.Random()  # noqa: S311 - no secret
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
        if n_bytes + OVERHEAD_BYTES > self._entries.maxsize:
            self._entries.pop(key, None)
            return
        life = self._ttl_seconds * (1 - JITTER * self._chance.random())
        self._entries[key] = Remembered(answer, generation, n_bytes, life)

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
        self._flights: dict[Hashable, asyncio.Future[Any]] = {}

    async def once(self, key: Hashable, compute: Callable[[], Awaitable[T]]) -> T:
        """
        What `compute` gives, or what it gives to whoever asked for `key` first.

        When it fails, it fails for all of them. When whoever computes is cancelled, the next of
        those who wait begins anew: without a task of its own a computation costs half as much.
        """
        while (flight := self._flights.get(key)) is not None:
            try:
                told: T = await asyncio.shield(flight)  # a key is always of one type
            except asyncio.CancelledError:
                if not flight.cancelled() or _is_cancelled():
                    raise
            else:
                return told
        flight = self._flights[key] = asyncio.get_running_loop().create_future()
        try:
            result = await compute()
        except Exception as error:
            flight.set_exception(error)
            flight.exception()  # looked at, also where nobody waits
            raise
        except BaseException:
            flight.cancel()
            raise
        else:
            flight.set_result(result)
            return result
        finally:
            del self._flights[key]


def _is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
