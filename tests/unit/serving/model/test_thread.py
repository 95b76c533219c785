import asyncio
import gc
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from weakref import ref

import pytest

from pipelines.data.interactions import History
from pipelines.errors import UnknownPartError
from pipelines.models.answers import Answer
from pipelines.models.reranking import Reranking
from pipelines.registry.entries import CONTENT, ModelVersion
from serving.model.slot import LoadedModel
from serving.model.thread import READERS_AT_ONCE, ModelThread, Wish

pytestmark = pytest.mark.anyio


class SlowBundle:
    """Notes for whom lists are made together; a list has the number of its history's book."""

    def __init__(self) -> None:
        self.made: list[list[int]] = []

    def recommend_to(self, histories: list[History], n: int, **wish: object) -> list[Answer]:
        if wish["reranking"] != Reranking():
            raise UnknownPartError("no", ["such"])
        time.sleep(0.01)
        asked = [int(history.book_nums[0]) for history in histories]
        self.made.append(asked)
        return [Answer((), f"{num}") for num in asked]


@pytest.fixture
def thread() -> Iterator[ModelThread]:
    thread = ModelThread()
    yield thread
    thread.close()


def loaded(bundle: SlowBundle, number: int = 1) -> LoadedModel:
    version = ModelVersion(number, "run", datetime.now(UTC), tags={CONTENT: f"{number}" * 64})
    return LoadedModel(bundle, version, datetime.now(UTC))


async def test_lists_wished_for_meanwhile_are_made_together(thread: ModelThread):
    bundle = SlowBundle()
    model, wish = loaded(bundle), Wish(10)
    told = await asyncio.gather(
        *(thread.answer(model, History.of([num]), wish) for num in range(READERS_AT_ONCE + 3))
    )
    assert [answer.source for answer in told] == [str(num) for num in range(READERS_AT_ONCE + 3)]
    assert [len(made) for made in bundle.made] == [READERS_AT_ONCE, 3]


async def test_lists_of_other_models_and_wishes_are_not(thread: ModelThread):
    one, other = SlowBundle(), SlowBundle()
    first, second = loaded(one), loaded(other, 2)
    await asyncio.gather(
        thread.answer(first, History.of([1]), Wish(10)),
        thread.answer(first, History.of([2]), Wish(20)),
        thread.answer(second, History.of([3]), Wish(10)),
    )
    assert (one.made, other.made) == ([[1], [2]], [[3]])


async def test_who_asks_alone_waits_for_one_piece_of_a_long_work(thread: ModelThread):
    pieces: list[int] = []

    def work(some: list[int]) -> list[int]:
        time.sleep(0.02)
        pieces.append(len(some))
        return [2 * each for each in some]

    items = [*range(5 * READERS_AT_ONCE + 1)]
    batch = asyncio.create_task(thread.in_pieces(work, items))
    await asyncio.sleep(0.01)
    answer = await thread.answer(loaded(SlowBundle()), History.of([7]), Wish(10))
    assert answer.source == "7"
    assert len(pieces) <= 2
    assert await batch == [2 * each for each in items]
    assert pieces == [READERS_AT_ONCE] * 5 + [1]


async def test_nothing_runs_beside_anything_else(thread: ModelThread):
    lock = threading.Lock()

    def work() -> bool:
        free = lock.acquire(blocking=False)
        time.sleep(0.005)
        if free:
            lock.release()
        return free

    assert all(await asyncio.gather(*(thread.run(work) for _ in range(5))))


async def test_an_error_reaches_all_who_wished_for_it_and_nobody_else(thread: ModelThread):
    model, unheard_of = loaded(SlowBundle()), Wish(10, reranking=Reranking(model="no"))
    history = History.of([1])
    told = await asyncio.gather(
        thread.answer(model, history, unheard_of),
        thread.answer(model, history, unheard_of),
        thread.answer(model, history, Wish(10)),
        return_exceptions=True,
    )
    assert [type(each) for each in told] == [UnknownPartError, UnknownPartError, Answer]


async def test_a_model_that_nobody_asks_any_more_is_let_go(thread: ModelThread):
    bundle = SlowBundle()
    await thread.answer(loaded(bundle), History.of([1]), Wish(10))
    gone = ref(bundle)
    del bundle
    for _ in range(100):
        gc.collect()
        if gone() is None:
            return
        await asyncio.sleep(0.01)
    pytest.fail("it is still held")
