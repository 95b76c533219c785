import gc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from pipelines.models.kernels import memory
from pipelines.models.kernels.memory import SMALL_BYTES, fresh

MANY = SMALL_BYTES // 4 + 1


@pytest.fixture(autouse=True)
def nothing_idle(monkeypatch):
    gc.collect()
    monkeypatch.setattr(memory, "_idle", {})


def test_memory_is_used_again_once_nothing_refers_to_it():
    first = fresh(3, MANY)
    at = first.ctypes.data
    row = first[1]
    del first
    assert fresh(3, MANY).ctypes.data != at  # a row is left
    row[:] = 5
    del row
    taken = [fresh(4, MANY - 1) for _ in range(3)]  # of the same power of two
    assert at in [array.ctypes.data for array in taken]


def test_arrays_are_like_any_others():
    array = fresh(2, MANY)
    assert (array.shape, array.dtype) == ((2, MANY), np.float32)
    assert array.flags.c_contiguous
    assert array.flags.writeable
    assert array.flags.aligned
    array[:] = 1
    assert array.sum() == 2 * MANY
    assert fresh(0, 5).shape == (0, 5)
    assert fresh(7).shape == (7,)


def test_two_that_live_share_nothing():
    kept = [fresh(MANY) for _ in range(8)]
    for num, array in enumerate(kept):
        array[:] = num
    del kept[2], kept[4]
    more = [fresh(MANY) for _ in range(4)]
    for array in more:
        array[:] = -1
    assert [array[0] for array in kept] == [0, 1, 3, 4, 6, 7]
    assert all((array == array[0]).all() for array in kept)


def test_no_more_than_so_much_lies_idle(monkeypatch):
    monkeypatch.setattr(memory, "KEPT_BYTES", 3 * 2 * SMALL_BYTES)
    many = [fresh(MANY) for _ in range(9)]
    del many
    assert sum(map(len, memory._idle.values())) == 3


def test_threads_never_get_the_same():
    def works(num: int) -> bool:
        for turn in range(200):
            array = fresh(MANY)
            array[:] = num + turn
            if not (array == num + turn).all():
                return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(works, range(8)))
