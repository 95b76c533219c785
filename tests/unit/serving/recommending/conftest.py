import pytest

from serving.bootstrap import Components
from tests.fakes import FakeBundle, FakeCache
from tests.serving_parts import Shelf, parts


@pytest.fixture
def service(shelf: Shelf, model: FakeBundle, cache: FakeCache) -> Components:
    service = parts(shelf, cache)
    model.questions.clear()  # the slot has asked one
    return service
