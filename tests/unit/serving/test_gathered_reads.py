import asyncio
from collections.abc import Sequence

import pytest

from pipelines.errors import CacheUnavailableError
from serving.gathered_reads import MOST_AT_ONCE, GatheredReads

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Store:
    """Answers a key with itself; counts questions; may refuse."""

    def __init__(self) -> None:
        self.questions: list[list[str]] = []
        self.refuses = False

    async def __call__(self, keys: Sequence[str]) -> list[bytes | None]:
        self.questions.append(list(keys))
        await asyncio.sleep(0.01)
        if self.refuses:
            raise CacheUnavailableError("Redis: gone")
        return [key.encode() for key in keys]


async def test_requests_at_one_time_share_a_question_and_each_gets_its_own():
    store = Store()
    reads = GatheredReads(store)
    told = await asyncio.gather(*(reads.values([f"a{i}", f"b{i}"]) for i in range(5)))
    assert told == [[f"a{i}".encode(), f"b{i}".encode()] for i in range(5)]
    assert len(store.questions) == 1


async def test_who_comes_while_a_question_is_under_way_is_in_the_next():
    store = Store()
    reads = GatheredReads(store)
    first = asyncio.create_task(reads.values(["a"]))
    await asyncio.sleep(0.005)
    others = [asyncio.create_task(reads.values([key])) for key in "bc"]
    assert await asyncio.gather(first, *others) == [[b"a"], [b"b"], [b"c"]]
    assert store.questions == [["a"], ["b", "c"]]


async def test_a_question_is_no_longer_than_it_may_be():
    store = Store()
    reads = GatheredReads(store)
    await asyncio.gather(*(reads.values([str(i)]) for i in range(2 * MOST_AT_ONCE + 1)))
    assert [len(keys) for keys in store.questions] == [MOST_AT_ONCE, MOST_AT_ONCE, 1]


async def test_all_hear_of_a_failure_and_the_next_question_is_asked_anew():
    store = Store()
    reads = GatheredReads(store)
    store.refuses = True
    told = await asyncio.gather(*(reads.values(["a"]) for _ in range(3)), return_exceptions=True)
    assert [type(error) for error in told] == [CacheUnavailableError] * 3
    store.refuses = False
    assert await reads.values(["a"]) == [b"a"]


async def test_who_gives_up_leaves_the_others_their_answers():
    store = Store()
    reads = GatheredReads(store)
    leaving, staying = (asyncio.create_task(reads.values([key])) for key in "ab")
    await asyncio.sleep(0.005)
    leaving.cancel()
    assert await staying == [b"b"]
