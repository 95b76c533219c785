import gc
from collections.abc import Iterator
from weakref import ref

import pytest

from serving.model.settled_memory import SettledMemory
from tests.serving_parts import Shelf, bundle


class Ring:
    """Refers to itself, so that only the collector frees it."""

    def __init__(self) -> None:
        self.own = self


@pytest.fixture(autouse=True)
def thawed() -> Iterator[None]:
    gc.unfreeze()  # what services of other tests have left
    yield
    gc.unfreeze()


def test_what_is_there_with_the_first_model_is_not_looked_at_again(shelf: Shelf):
    slot = shelf.slot()
    slot.observe(SettledMemory())
    slot.refresh()
    assert gc.get_freeze_count() == 0  # nothing is in service
    shelf.publish(bundle())
    slot.refresh()
    assert gc.get_freeze_count() > 100_000


def test_what_the_model_before_left_behind_goes_with_the_next_one(shelf: Shelf):
    slot = shelf.slot()
    slot.observe(SettledMemory())
    ring = Ring()
    shelf.publish(bundle())
    slot.refresh()
    gone = ref(ring)
    del ring
    slot.refresh()
    gc.collect()
    assert gone() is not None  # it was settled, and nothing has changed
    shelf.publish(bundle())
    slot.refresh()
    assert gone() is None
