"""The headers of a request, where they are looked into many times before it is answered."""

from starlette.datastructures import Headers
from starlette.types import Scope


class IndexedHeaders(Headers):
    """Starlette's headers, found by name at once; of several of one name the first."""

    def __init__(self, scope: Scope) -> None:
        super().__init__(scope=scope)
        self._first: dict[bytes, bytes] = dict(reversed(self.raw))

    def get(self, key: str, default: str = "") -> str:  # type: ignore[override]
        value = self._first.get(key.lower().encode("latin-1"))
        return default if value is None else value.decode("latin-1")

    def getlist(self, key: str) -> list[str]:
        return super().getlist(key) if key in self else []

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and key.lower().encode("latin-1") in self._first
