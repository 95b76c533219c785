"""Reading on while what was read is worked on."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from itertools import islice
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")
_THREADS = 2


def read_ahead(items: Iterable[T]) -> Iterator[T]:
    """
    The items, each of them made by a thread of its own while the one before is used.

    It is worth it where both release the interpreter's lock, as Arrow does. An error comes up where
    its item would have.
    """
    source, context = iter(items), copy_context()  # of what logs are bound to

    def following() -> list[T]:
        return context.run(lambda: list(islice(source, 1)))

    with ThreadPoolExecutor(1, thread_name_prefix="read-ahead") as reader:
        coming = reader.submit(following)
        while found := coming.result():
            coming = reader.submit(following)
            yield from found


def worked_ahead(work: Callable[[T], R], items: Iterable[T]) -> Iterator[tuple[T, Future[R]]]:
    """The items in their order, with what threads make of each: of the next ones meanwhile."""
    under_way: deque[tuple[T, Future[R]]] = deque()
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="work-ahead") as workers:
        for item in items:
            under_way.append((item, workers.submit(work, item)))
            if len(under_way) > _THREADS:
                yield under_way.popleft()
        yield from under_way
