"""A service put together from fakes, with as many real parts as a test asks for."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from pipelines.data.interactions import Vocabulary
from pipelines.registry import CHAMPION, CONTENT
from pipelines.settings import Settings
from serving.bootstrap import Components, assemble
from serving.caching.cache import RecommendationCache, RedisCache
from serving.gateway.app import create_app
from serving.model.slot import ModelSlot
from tests.fakes import FakeBundle, FakeCache, FakeRegistry

ADMIN_TOKEN = "the-admin-token-of-the-tests"  # noqa: S105 - opens nothing

SIGNING_KEY = "signs-nothing-but-what-tests-ask-for"


def bundle(*, readers: int = 20, books: int = 300, title: str = "Book") -> FakeBundle:
    """A model whose ids are numbers from 1."""
    return FakeBundle(_numbers(readers), _numbers(books), title)


def _numbers(count: int) -> Vocabulary:
    return Vocabulary(np.arange(1, count + 1, dtype=np.int64))


@dataclass
class Shelf:
    """A fake registry and the bundles behind its versions; an error instead of one is raised."""

    registry: FakeRegistry = field(default_factory=FakeRegistry)
    bundles: dict[Path, FakeBundle | Exception] = field(default_factory=dict)

    def publish(self, bundle: FakeBundle | Exception, alias: str = CHAMPION, **more: str) -> int:
        """Register a bundle, with more tags, and make it champion, or what else is named."""
        folder = Path(f"/bundles/{len(self.bundles) + 1}")
        self.bundles[folder] = bundle
        tags = {"ndcg_at_10": "0.18", CONTENT: folder.name} | more
        version = self.registry.put(f"hybrid-{folder.name}", folder, tags).version
        self.registry.set_alias(alias, version)
        return version

    def open(self, folder: Path) -> Any:
        found = self.bundles[folder]
        if isinstance(found, Exception):
            raise found
        return found

    def slot(self, **options: Any) -> ModelSlot:
        """An empty slot that follows this registry."""
        return ModelSlot(self.registry, Path("/models"), load=self.open, **options)


def settings(**changes: Any) -> Settings:
    """Settings of a service that is asked for nothing but what a test asks."""
    api = {"admin_token": ADMIN_TOKEN, "poll_seconds": 3600}
    security = {"signing_keys": {"tests": SIGNING_KEY}} | changes.pop("security", {})
    return Settings(**({"api": api} | changes), security=security)


def redis_caches(url: str) -> tuple[RedisCache, RedisCache]:
    """A cache for requests and a patient one."""
    return RedisCache(url, timeout_seconds=0.05), RedisCache(url, timeout_seconds=5)


def parts(
    shelf: Shelf,
    cache: RecommendationCache | None = None,
    bulk_cache: RecommendationCache | None = None,
    **changes: Any,
) -> Components:
    """The components, with the champion already loaded, and who is on trial."""
    chosen = settings(**changes)
    slot, alias = shelf.slot(), chosen.ab_test.alias
    on_trial = shelf.slot(alias=alias) if alias else None
    for one in (slot, on_trial):
        if one is not None:
            one.refresh()
    shared = cache or FakeCache()
    return assemble(chosen, slot, shared, bulk_cache or shared, on_trial=on_trial)


def client(components: Components, *, address: str = "127.0.0.1", **options: Any) -> TestClient:
    """A client of the gateway, on this machine by default; enter it, and the gateway runs."""
    options = {"base_url": "http://localhost", "follow_redirects": False} | options
    return TestClient(create_app(lambda: components), client=(address, 50_000), **options)


def paths_to(layer: type[Any], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths of requests that come to a layer of the gateway from now on."""
    seen: list[str] = []
    answer = layer.__call__

    async def noting(self, scope, receive, send):
        seen.append(scope.get("path", ""))
        await answer(self, scope, receive, send)

    monkeypatch.setattr(layer, "__call__", noting)
    return seen


def admin(token: str = ADMIN_TOKEN) -> dict[str, str]:
    """The headers of an administrator."""
    return {"Authorization": f"Bearer {token}"}
