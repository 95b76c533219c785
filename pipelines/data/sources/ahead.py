"""Reading on while what was read is worked on."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import TypeVar

T = TypeVar("T")


def read_ahead(items: Iterable[T]) -> Iterator[T]:
    """
    The items, each of them made by a thread of its own while the one before is used.

    It is worth it where both release the interpreter's lock, as Arrow does. An error comes up where
    its item would have.
    """
    source, end, context = iter(items), object(), copy_context()  # what logs are bound to
    with ThreadPoolExecutor(1, thread_name_prefix="read-ahead") as reader:
        coming = reader.submit(context.run, next, source, end)
        while (item := coming.result()) is not end:
            coming = reader.submit(context.run, next, source, end)
            yield item  # type: ignore[misc] # mypy cannot know that it is not `end`
