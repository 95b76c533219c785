"""The providers of embeddings, ours and of other packages, and the way from one to the next."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog
from pydantic import ValidationError

from pipelines.errors import ConfigurationError, EmbeddingError, NoProviderError
from pipelines.models.embeddings import cache
from pipelines.models.embeddings.base import EmbeddingProvider, Vectors
from pipelines.plugins import Plugins

log = structlog.get_logger()

Options = Mapping[str, Mapping[str, Any]]
"""By provider, what differs from its defaults."""


def _is_maker(_: str, found: Any) -> bool:
    return callable(found)


_PROVIDERS = Plugins("bookrec.embeddings", "embedding provider", "function of options", _is_maker)


def create_provider(name: str, options: Mapping[str, Any]) -> EmbeddingProvider:
    """
    A provider, which has not been asked for anything yet.

    Raises:
        ConfigurationError: no such provider, or its options are not valid.
        NoProviderError: it is not set up on this machine.
    """
    make = _PROVIDERS.load(name)
    try:
        provider: EmbeddingProvider = make(options)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ConfigurationError(f"embedding provider {name}: {where}: {first['msg']}") from None
    return provider


@dataclass(frozen=True)
class Embedded:
    """Vectors, and the provider and model that they came from."""

    provider: str
    model: str
    vectors: Vectors


def embed_texts(
    texts: Sequence[str], names: Sequence[str], options: Options, cache_folder: Path | None
) -> Embedded | None:
    """
    One row a text from the first of the named providers that works; None if none does.

    Raises:
        ConfigurationError: a name or its options are not valid.
    """
    for provider in _available(names, options):
        try:
            vectors = cache.embed(provider, texts, cache_folder)
            return Embedded(provider.name, provider.model, vectors)
        except EmbeddingError as error:
            log.warning("embedding_provider_failed", provider=provider.name, reason=str(error))
    return None


def _available(names: Sequence[str], options: Options) -> Iterator[EmbeddingProvider]:
    """Those that are set up on this machine, in this order, each made when its turn comes."""
    for name in names:
        try:
            yield create_provider(name, options.get(name, {}))
        except NoProviderError as error:
            log.info("embedding_provider_skipped", provider=name, reason=str(error))
