"""Where data comes from: one small module a format, the same tables out."""

import inspect
from collections.abc import Mapping
from typing import Any

from pipelines.data.sources.base import Batch, Batches, Order, Source, SourceTables
from pipelines.errors import ConfigurationError
from pipelines.plugins import Plugins

__all__ = ["Batch", "Batches", "Order", "Source", "SourceTables", "create_source", "source_names"]


def _is_source(name: str, found: Any) -> bool:
    return callable(getattr(found, "read", None)) and getattr(found, "name", None) == name


_SOURCES = Plugins("bookrec.sources", "source", "class of that name with a method read", _is_source)


def source_names() -> list[str]:
    """Every source that is installed; imports none of them."""
    return _SOURCES.names()


def create_source(name: str, options: Mapping[str, str] | None = None) -> Source:
    """
    The source called `name`.

    Args:
        name: One of `source_names()`.
        options: Arguments for its constructor.

    Raises:
        ConfigurationError: no such source or option; the message lists those there are.
    """
    source_class: type[Source] = _SOURCES.load(name)
    options = options or {}
    known = list(inspect.signature(source_class).parameters)
    for option in options:
        if option not in known:
            allowed = ", ".join(known) or "none"
            raise ConfigurationError(
                f"source {name} has no option {option}: those it has are {allowed}"
            )
    return source_class(**options)
