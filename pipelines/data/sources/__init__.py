"""Where data comes from: one small module a format, the same tables out."""

from typing import Any

from pipelines.data.sources.base import Order, Source, SourceTables
from pipelines.plugins import Plugins

__all__ = ["Order", "Source", "SourceTables", "create_source", "source_names"]


def _is_source(name: str, found: Any) -> bool:
    return callable(getattr(found, "read", None)) and getattr(found, "name", None) == name


_SOURCES = Plugins("bookrec.sources", "source", "class of that name with a method read", _is_source)


def source_names() -> list[str]:
    """Every source that is installed; imports none of them."""
    return _SOURCES.names()


def create_source(name: str) -> Source:
    """
    The source called `name`.

    Raises:
        ConfigurationError: no such source; the message lists those there are.
    """
    source_class: type[Source] = _SOURCES.load(name)
    return source_class()
