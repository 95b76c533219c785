import asyncio
from collections.abc import Sequence

import pytest

from pipelines.errors import CacheUnavailableError
from serving.gathering import Gathering

pytestmark = pytest.mark.anyio

AT_ONCE = 4


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Store:
    """Answers a key with itself; notes what it is asked together; may refuse."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.refuses = False

    async def __call__(self, keys: Sequence[str]) -> list[bytes]:
        self.asked.append(list(keys))
        await asyncio.sleep(0.01)
        if self.refuses:
            raise CacheUnavailableError("Redis: gone")
        return [key.encode() for key in keys]


async def test_requests_at_one_time_share_a_question_and_each_gets_its_own():
    store = Store()
    reads = Gathering(store, at_once=AT_ONCE)
    assert await asyncio.gather(*map(reads.answer, "abc")) == [b"a", b"b", b"c"]
    assert store.asked == [["a", "b", "c"]]


async def test_who_comes_while_a_question_is_under_way_is_in_the_next():
    store = Store()
    reads = Gathering(store, at_once=AT_ONCE)
    first = asyncio.create_task(reads.answer("a"))
    await asyncio.sleep(0.005)
    others = [asyncio.create_task(reads.answer(key)) for key in "bc"]
    assert await asyncio.gather(first, *others) == [b"a", b"b", b"c"]
    assert store.asked == [["a"], ["b", "c"]]


async def test_a_question_is_no_longer_than_it_may_be():
    store = Store()
    reads = Gathering(store, at_once=AT_ONCE)
    await asyncio.gather(*(reads.answer(str(i)) for i in range(2 * AT_ONCE + 1)))
    assert [len(keys) for keys in store.asked] == [AT_ONCE, AT_ONCE, 1]


async def test_all_hear_of_a_failure_and_the_next_question_is_asked_anew():
    store = Store()
    reads = Gathering(store, at_once=AT_ONCE)
    store.refuses = True
    told = await asyncio.gather(*(reads.answer("a") for _ in range(3)), return_exceptions=True)
    assert [type(error) for error in told] == [CacheUnavailableError] * 3
    store.refuses = False
    assert await reads.answer("a") == b"a"


async def test_who_gives_up_leaves_the_others_their_answers():
    store = Store()
    reads = Gathering(store, at_once=AT_ONCE)
    leaving, staying = (asyncio.create_task(reads.answer(key)) for key in "ab")
    await asyncio.sleep(0.005)
    leaving.cancel()
    assert await staying == b"b"


async def test_what_was_given_up_before_its_turn_is_not_asked():
    store = Store()
    reads = Gathering(store, at_once=AT_ONCE)
    first = asyncio.create_task(reads.answer("a"))
    await asyncio.sleep(0.005)
    leaving, staying = (asyncio.create_task(reads.answer(key)) for key in "bc")
    await asyncio.sleep(0)
    leaving.cancel()
    assert await asyncio.gather(first, staying) == [b"a", b"c"]
    assert store.asked == [["a"], ["c"]]
