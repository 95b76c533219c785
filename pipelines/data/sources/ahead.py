"""Reading on while what was read is worked on."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from itertools import islice
from typing import TypeVar

T = TypeVar("T")


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
