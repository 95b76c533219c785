import pytest

from tests.fakes import FakeCache
from tests.serving_parts import Shelf


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def cache() -> FakeCache:
    return FakeCache()
