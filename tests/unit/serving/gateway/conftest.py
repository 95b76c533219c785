from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient

from serving.bootstrap import Components
from tests.fakes import FakeCache
from tests.serving_parts import Shelf, bundle, client, parts


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
