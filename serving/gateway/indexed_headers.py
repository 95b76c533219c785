"""The headers of a request, where they are looked into many times before it is answered."""

from collections.abc import Set
from functools import lru_cache

from starlette.datastructures import Headers
from starlette.types import Scope


class IndexedHeaders(Headers):
    """Starlette's headers, found by name at once; of several of one name the first."""

    def __init__(self, scope: Scope) -> None:
        super().__init__(scope=scope)
        self._first: dict[bytes, bytes] = dict(reversed(self.raw))

    def get(self, key: str, default: str = "") -> str:  # type: ignore[override]
        value = self._first.get(_raw(key))
        return default if value is None else value.decode("latin-1")

    def getlist(self, key: str) -> list[str]:
        return super().getlist(key) if key in self else []

    def has_any(self, names: Set[bytes]) -> bool:
        """Whether there is a header of any of these names, in lower case."""
        return not names.isdisjoint(self._first)

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and _raw(key) in self._first


@lru_cache(256)
def _raw(key: str) -> bytes:
    """As it stands in a request; names asked for are few, and asked for again and again."""
    return key.lower().encode("latin-1")
