import asyncio

import pytest

from serving.caching.local_cache import OVERHEAD_BYTES, LocalCache, SingleFlight


def put(cache, key, generation, body):
    cache.put(key, generation, body, len(body))


def test_an_answer_is_remembered_for_its_generation_alone():
    cache = LocalCache(10_000, 60)
    put(cache, "list", 1, b"books")
    assert cache.get("list", 1) == b"books"
    assert cache.get("list", 2) is None
    assert cache.get("other", 1) is None


def test_answers_grow_old():
    cache = LocalCache(10_000, 0.0)
    put(cache, "list", 1, b"books")
    assert cache.get("list", 1) is None


def test_the_cache_is_bounded_in_bytes_and_keeps_what_was_asked_for_last():
    cache = LocalCache(3 * (OVERHEAD_BYTES + 100), 60)
    for name in "abc":
        put(cache, name, 0, b"x" * 100)
    cache.get("a", 0)
    put(cache, "d", 0, b"x" * 100)
    assert cache.n_bytes <= 3 * (OVERHEAD_BYTES + 100)
    assert [name for name in "abcd" if cache.get(name, 0)] == ["a", "c", "d"]


def test_what_is_larger_than_the_cache_is_not_remembered_and_nothing_old_in_its_place():
    cache = LocalCache(OVERHEAD_BYTES + 10, 60)
    put(cache, "list", 1, b"small")
    put(cache, "list", 1, b"x" * 1000)
    assert cache.get("list", 1) is None
    assert len(cache) == cache.n_bytes == 0


def test_no_room_remembers_nothing():
    cache = LocalCache(0, 60)
    put(cache, "list", 1, b"")
    assert cache.get("list", 1) is None


class Work:
    """Counts how often it was done; ends when told."""

    def __init__(self, result: object = "done") -> None:
        self.times = 0
        self.may_end = asyncio.Event()
        self._result = result

    async def __call__(self):
        self.times += 1
        await self.may_end.wait()
        if isinstance(self._result, Exception):
            raise self._result
        return self._result


async def started(*waiting):
    tasks = [asyncio.ensure_future(w) for w in waiting]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return tasks


@pytest.mark.anyio
async def test_fifty_callers_at_once_cost_one_computation():
    flight, work = SingleFlight(), Work()
    tasks = await started(*(flight.once("key", work) for _ in range(50)))
    work.may_end.set()
    assert await asyncio.gather(*tasks) == ["done"] * 50
    assert work.times == 1


@pytest.mark.anyio
async def test_whoever_comes_later_computes_again():
    flight, work = SingleFlight(), Work()
    work.may_end.set()
    await flight.once("key", work)
    await flight.once("key", work)
    assert work.times == 2


@pytest.mark.anyio
async def test_whoever_comes_right_behind_the_end_computes_too():
    flight, told = SingleFlight(), []

    def look():
        with pytest.raises(StopIteration) as ended:
            flight.once("key", _fine).send(None)
        told.append(ended.value.value)

    async def compute():
        asyncio.get_running_loop().call_soon(look)
        return "old"

    assert await flight.once("key", compute) == "old"
    await asyncio.sleep(0)
    assert told == ["fine"]


@pytest.mark.anyio
async def test_other_keys_do_not_wait():
    flight, slow, quick = SingleFlight(), Work(), Work("quick")
    quick.may_end.set()
    (waiting,) = await started(flight.once("slow", slow))
    assert await flight.once("quick", quick) == "quick"
    slow.may_end.set()
    assert await waiting == "done"


@pytest.mark.anyio
async def test_a_caller_who_leaves_does_not_take_the_answer_from_the_others():
    flight, work = SingleFlight(), Work()
    first, *others = await started(*(flight.once("key", work) for _ in range(4)))
    first.cancel()
    for _ in range(3):  # until one of the others is at it
        await asyncio.sleep(0)
    work.may_end.set()
    assert await asyncio.gather(*others) == ["done"] * 3
    assert work.times == 2


@pytest.mark.anyio
async def test_whoever_waits_and_leaves_takes_nothing_from_the_one_who_computes():
    flight, work = SingleFlight(), Work()
    first, second = await started(flight.once("key", work), flight.once("key", work))
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    work.may_end.set()
    assert await first == "done"
    assert work.times == 1


@pytest.mark.anyio
async def test_when_all_leave_nothing_stays_behind():
    flight, work = SingleFlight(), Work()
    tasks = await started(*(flight.once("key", work) for _ in range(3)))
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert all(task.cancelled() for task in tasks)
    assert await flight.once("key", _fine) == "fine"


@pytest.mark.anyio
async def test_a_failure_is_everybodys_and_not_kept():
    flight, work = SingleFlight(), Work(ValueError("no"))
    tasks = await started(*(flight.once("key", work) for _ in range(3)))
    work.may_end.set()
    told = await asyncio.gather(*tasks, return_exceptions=True)
    assert [str(error) for error in told] == ["no"] * 3
    assert await flight.once("key", _fine) == "fine"


async def _fine():
    return "fine"
