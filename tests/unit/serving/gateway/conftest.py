from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from pipelines.registry import CHAMPION, CONTENT
from serving.bootstrap import Components, assemble
from serving.model.slot import ModelSlot
from tests import factories
from tests.fakes import FakeCache, FakeRegistry
from tests.serving_parts import Shelf, bundle, client, parts, settings


@pytest.fixture
def components(shelf: Shelf, cache: FakeCache) -> Components:
    shelf.publish(bundle())
    return parts(shelf, cache)


@pytest.fixture
def http(components: Components) -> Iterator[TestClient]:
    with client(components) as http:
        yield http


@pytest.fixture
def empty(shelf: Shelf) -> Iterator[TestClient]:
    """A service that has no model yet."""
    with client(parts(shelf)) as http:
        yield http


@pytest.fixture
def real(tmp_path: Path) -> Iterator[TestClient]:
    factories.bundle().save(tmp_path / "bundle")
    registry = FakeRegistry()
    registry.put("first", tmp_path / "bundle", {CONTENT: "first"})
    registry.set_alias(CHAMPION, 1)
    slot = ModelSlot(registry, tmp_path)
    slot.refresh()
    with client(assemble(settings(), slot, FakeCache(), FakeCache())) as http:
        yield http
