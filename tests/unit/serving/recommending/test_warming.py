import asyncio
import threading

import pytest

from pipelines.errors import CacheUnavailableError, NoModelError
from pipelines.storage.cache_keys import cache_key
from serving.bootstrap import Components
from serving.caching.written_list import WrittenList
from serving.recommending.paging import Page
from serving.recommending.warming import BATCH_SIZE, WarmState
from tests.fakes import FakeBundle, FakeCache
from tests.serving_parts import Shelf, bundle, parts

pytestmark = pytest.mark.anyio

READERS = 3 * BATCH_SIZE + 1


class Held(FakeBundle):
    """A model that computes a batch only when it is let."""

    def __init__(self) -> None:
        model = bundle(readers=READERS)
        super().__init__(model.users, model.books)
        self.let = threading.Semaphore(BATCH_SIZE + 1)  # the slot's question, then one batch

    def recommend(self, user_id: str, n: int, *, skip: int = 0, explain: bool = True):
        assert self.let.acquire(timeout=5)
        return super().recommend(user_id, n, skip=skip, explain=explain)


@pytest.fixture
def held(shelf: Shelf) -> Held:
    held = Held()
    shelf.publish(held)
    return held


@pytest.fixture
def service(shelf: Shelf, held: Held, cache: FakeCache) -> Components:  # noqa: ARG001 - is in service
    return parts(shelf, cache)


async def _until(service: Components, condition) -> WarmState:
    async with asyncio.timeout(5):
        while True:
            state = await service.warming.state()
            if state is not None and condition(state):
                return state
            await asyncio.sleep(0.005)


async def _finished(service: Components) -> WarmState:
    return await _until(service, lambda state: state.finished)


async def test_every_reader_is_served_from_the_cache_afterwards(service: Components, held: Held):
    held.let.release(READERS)
    state = await service.warming.warm()
    assert (state.total, state.done, state.finished) == (READERS, 0, False)
    state = await _finished(service)
    assert (state.outcome, state.done, state.version) == ("complete", READERS, 1)
    for reader in ("1", str(READERS)):
        answer = await service.recommendations.recommend(reader, Page(10), explain=True)
        assert answer.source == "cache"
        held.let.release()
        assert answer.books == WrittenList.of(held.recommend(reader, 10).items)


async def test_a_second_request_joins_the_first(service: Components, held: Held):
    await service.warming.warm()
    await _until(service, lambda state: state.done == BATCH_SIZE)
    joined = await service.warming.warm()
    assert (joined.done, joined.outcome) == (BATCH_SIZE, "running")
    held.let.release(READERS)
    await _finished(service)
    assert len(held.questions) == READERS + 1


async def test_another_worker_joins_too(service: Components, shelf: Shelf, held: Held, cache):
    held.let.release()  # for the question of the other slot
    other = parts(shelf, cache)
    await service.warming.warm()
    await _until(service, lambda state: state.done == BATCH_SIZE)
    assert (await other.warming.warm()).done == BATCH_SIZE
    held.let.release(READERS)
    await _finished(service)
    assert (await other.warming.state()) == (await service.warming.state())


async def test_it_can_be_repeated_when_it_is_over(service: Components, held: Held):
    held.let.release(3 * READERS)
    for _ in range(2):
        assert not (await service.warming.warm()).finished
        assert (await _finished(service)).outcome == "complete"


async def test_a_promotion_midway_stops_it(service: Components, shelf: Shelf, held: Held, cache):
    await service.warming.warm()
    await _until(service, lambda state: state.done == BATCH_SIZE)
    shelf.publish(bundle())
    service.slot.refresh()
    held.let.release(READERS)
    await service.warming.warm()
    assert (await _finished(service)).version == 2
    key = cache_key(service.model_name, "1-1", "warm-up")
    async with asyncio.timeout(5):
        while b"superseded" not in cache.values[key]:
            await asyncio.sleep(0.005)
    assert len(held.questions) < READERS


async def test_a_cache_that_goes_away_midway_fails_it(
    service: Components, held: Held, cache: FakeCache
):
    await service.warming.warm()
    await _until(service, lambda state: state.done == BATCH_SIZE)
    cache.failure = "connection refused"
    held.let.release(READERS)
    state = await _finished(service)
    assert (state.outcome, state.done) == ("failed", BATCH_SIZE)


async def test_a_defect_of_the_model_fails_it_and_leaves_no_lock(shelf: Shelf, cache: FakeCache):
    class Broken(FakeBundle):
        def recommend(self, user_id: str, n: int, *, explain: bool = True):
            if n > 1:
                raise IndexError("index 7 is out of bounds")
            return super().recommend(user_id, n)

    shelf.publish(Broken(bundle().users, bundle().books))
    service = parts(shelf, cache)
    await service.warming.warm()
    assert (await _finished(service)).outcome == "failed"
    assert not (await service.warming.warm()).finished
    await service.warming.stop()


async def test_a_stop_ends_it(service: Components, held: Held):
    await service.warming.warm()
    await _until(service, lambda state: state.done == BATCH_SIZE)
    held.let.release(READERS)
    await service.warming.stop()
    state = await service.warming.state()
    assert state is not None
    assert (state.outcome, state.done < READERS) == ("failed", True)


async def test_without_a_cache_it_is_refused(service: Components, cache: FakeCache):
    cache.failure = "connection refused"
    with pytest.raises(CacheUnavailableError):
        await service.warming.warm()


async def test_without_a_model_it_is_refused(shelf: Shelf):
    with pytest.raises(NoModelError):
        await parts(shelf).warming.warm()


async def test_before_the_first_there_is_no_state(service: Components):
    assert await service.warming.state() is None
