"""Where data comes from: one small module a format, the same tables out."""

from pipelines.data.sources.base import Order, Source, SourceTables
from pipelines.data.sources.goodbooks import GoodbooksSource
from pipelines.data.sources.interactions import InteractionsSource
from pipelines.data.sources.simulated import SampleSource
from pipelines.errors import ConfigurationError

__all__ = ["SOURCES", "Order", "Source", "SourceTables", "create_source"]

SOURCES: dict[str, type[Source]] = {
    source.name: source for source in (SampleSource, GoodbooksSource, InteractionsSource)
}


def create_source(name: str) -> Source:
    """
    The source called `name`.

    Raises:
        ConfigurationError: no such source; the message lists those there are.
    """
    if name not in SOURCES:
        raise ConfigurationError(f"unknown source {name!r}: choose one of {', '.join(SOURCES)}")
    return SOURCES[name]()
