"""
What is chosen by name may come from any installed package: Python entry points.

This project declares its own models, sources and providers of embeddings as another package would:

```
[project.entry-points."bookrec.models"]
popularity = "pipelines.models.popularity:PopularityRecommender"
```

Looking for names imports nothing; what is asked for is imported, and nothing else. So a package
that is broken is broken for its own names alone, and none can take the place of one of ours.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import structlog

from pipelines.errors import ConfigurationError

log = structlog.get_logger()

OWN_PACKAGE = "book-recommender"


@dataclass(frozen=True)
class Plugins:
    """One kind of things that packages offer by name."""

    group: str
    """Of the entry points, such as `bookrec.models`."""
    noun: str
    """For messages."""
    wanted: str
    """For messages: what an entry point has to name."""
    fits: Callable[[str, Any], bool]
    """Whether something is what its entry point, here by its name, promises."""

    def names(self) -> list[str]:
        """All that are installed, our own first, each part in alphabetical order."""
        return list(_offers(self.group))

    def load(self, name: str) -> Any:
        """
        What the entry point called `name` stands for.

        Raises:
            ConfigurationError: nobody offers the name, or two packages do, or what is offered
                cannot be imported or is not what it should be.
        """
        offers = _offers(self.group).get(name, ())
        if not offers:
            known = ", ".join(self.names()) or "none: install this project, do not only copy it"
            raise ConfigurationError(f"there is no {self.noun} {name}: choose from {known}")
        if len(offers) > 1:
            packages = " and ".join(map(_package, offers))
            raise ConfigurationError(f"{self.noun} {name} is offered by {packages}: uninstall one")
        found = self._imported(offers[0])
        if not self.fits(name, found):
            raise ConfigurationError(
                f"{self.noun} {name}: {offers[0].value} of the package {_package(offers[0])} "
                f"is no {self.wanted}"
            )
        return found

    def _imported(self, offer: EntryPoint) -> Any:
        if _is_own(offer):
            return offer.load()
        try:
            return offer.load()
        except Exception as error:  # a stranger's module may raise anything
            raise ConfigurationError(
                f"{self.noun} {offer.name}: the package {_package(offer)} cannot be loaded "
                f"({type(error).__name__}: {error}): repair or uninstall it"
            ) from error


@lru_cache
def _offers(group: str) -> Mapping[str, tuple[EntryPoint, ...]]:
    """
    By name, all that offer it; ours alone where it is among them.

    Read once a process: it takes milliseconds, and packages do not change under us.
    """
    by_name: dict[str, list[EntryPoint]] = defaultdict(list)
    for offer in sorted(entry_points(group=group), key=_rank):
        if by_name[offer.name] and _is_own(by_name[offer.name][0]):
            package = _package(offer)
            log.warning("plugin_ignored", group=group, name=offer.name, package=package)
        else:
            by_name[offer.name].append(offer)
    return {name: tuple(offers) for name, offers in by_name.items()}


def _rank(offer: EntryPoint) -> tuple[bool, str, str]:
    return not _is_own(offer), offer.name, _package(offer)


def _is_own(offer: EntryPoint) -> bool:
    return _package(offer) == OWN_PACKAGE


def _package(offer: EntryPoint) -> str:
    return offer.dist.name if offer.dist else "unknown"
