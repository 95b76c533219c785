import json
from dataclasses import replace
from typing import Any

import pytest

from pipelines.errors import BookNotFoundError, NoModelError
from pipelines.models.reranking import UNCHANGED
from pipelines.service_settings import CacheSettings
from pipelines.storage.cache_keys import list_key
from serving.bootstrap import Components
from serving.caching.written_list import WrittenList
from serving.model.thread import ModelThread
from serving.recommending.paging import Page, ServedList
from serving.recommending.readers import Recommendations
from serving.telemetry.metrics import ServingMetrics
from tests.fakes import FakeBundle, FakeCache
from tests.serving_parts import Shelf, bundle, parts

pytestmark = pytest.mark.anyio


@pytest.fixture
def model(shelf: Shelf) -> FakeBundle:
    model = bundle()
    shelf.publish(model)
    return model


def told(answer: ServedList) -> list[dict[str, Any]]:
    """The books as they go out."""
    return json.loads(answer.books.json(explain=answer.explain))


def ids(answer: ServedList) -> list[int]:
    return [book["book_id"] for book in told(answer)]


async def test_the_second_answer_comes_from_the_cache_and_is_equal(
    service: Components, model: FakeBundle
):
    first = await service.recommendations.recommend("3", Page(10))
    second = await service.recommendations.recommend("3", Page(10))
    assert (first.source, second.source) == ("model", "cache")
    assert told(first) == told(second)
    assert model.questions == ["3"]


@pytest.mark.parametrize("n", [1, 10, 50])
async def test_any_length_up_to_the_cached_one_is_cut_from_the_same_list(
    service: Components, model: FakeBundle, n: int
):
    await service.recommendations.recommend("3", Page(5))
    answer = await service.recommendations.recommend("3", Page(n))
    expected = model.recommend("3", n, explain=False)
    assert answer.source == "cache"
    assert told(answer) == told(replace(answer, books=WrittenList.of(expected.items)))


async def test_longer_lists_are_computed_and_not_cached(service: Components, cache: FakeCache):
    answer = await service.recommendations.recommend("3", Page(101))
    assert (answer.source, len(answer.books)) == ("model", 101)
    assert not cache.values


async def test_an_unknown_reader_gets_popular_books_that_are_not_cached(
    service: Components, model: FakeBundle, cache: FakeCache
):
    answer = await service.recommendations.recommend("nobody", Page(5))
    assert (answer.source, answer.asked_for) == ("fallback", "nobody")
    assert ids(answer) == [i.book_id for i in model.popular(5).items]
    assert not cache.values


async def test_a_known_reader_without_history_is_not_cached(shelf: Shelf, cache: FakeCache):
    class Forgetful(FakeBundle):
        def recommend(self, user_id: str, n: int, **_: object):
            return self.popular(n)

    shelf.publish(Forgetful(bundle().users, bundle().books))
    answer = await parts(shelf, cache).recommendations.recommend("3", Page(5))
    assert answer.source == "fallback"
    assert not cache.values


async def test_ids_come_back_in_the_type_of_the_catalogue(service: Components):
    assert (await service.recommendations.recommend("3", Page(1))).asked_for == 3
    assert (await service.shelves.similar(["7"], Page(1), UNCHANGED)).asked_for == 7


async def test_an_unreachable_cache_changes_no_answer(service: Components, cache: FakeCache):
    healthy = await service.recommendations.recommend("3", Page(10))
    cache.failure = "connection refused"
    answer = await service.recommendations.recommend("3", Page(10))
    assert (answer.source, told(answer)) == ("model", told(healthy))


async def test_without_a_cache_no_more_is_made_than_is_asked(
    service: Components, model: FakeBundle, cache: FakeCache, monkeypatch: pytest.MonkeyPatch
):
    made: list[tuple[int, int, bool]] = []
    recommend = model.recommend_to

    def noting(histories, n, *, skip=0, explain, reranking):
        made.append((n, skip, explain))
        return recommend(histories, n, skip=skip, explain=explain, reranking=reranking)

    monkeypatch.setattr(model, "recommend_to", noting)
    whole = await service.recommendations.recommend("3", Page(10))
    cache.failure = "connection refused"
    first = await service.recommendations.recommend("3", Page(4))
    second = await service.recommendations.recommend("3", Page(3, first.next_cursor))
    assert made == [(50, 0, True), (4, 0, False), (3, 4, False)]
    assert ids(first) + ids(second) == ids(whole)[:7]


async def test_an_unreadable_entry_is_replaced(service: Components, cache: FakeCache):
    key = list_key(service.model_name, "1-1", CacheSettings().list_length, "3")
    cache.values[key] = b"nonsense"
    assert (await service.recommendations.recommend("3", Page(10))).source == "model"
    assert (await service.recommendations.recommend("3", Page(10))).source == "cache"


async def test_a_longer_cached_length_counts_at_once(shelf: Shelf, cache: FakeCache):
    shelf.publish(bundle())
    models, metrics = parts(shelf).models, ServingMetrics(shelf.slot())
    short, long = (
        Recommendations(
            models, ModelThread(), cache, CacheSettings(list_length=length), "model", metrics
        )
        for length in (5, 50)
    )
    assert len((await short.recommend("3", Page(5))).books) == 5
    assert len((await long.recommend("3", Page(20))).books) == 20


async def test_entries_of_another_version_are_not_seen(service: Components, shelf: Shelf):
    await service.recommendations.recommend("3", Page(10))
    shelf.publish(bundle(title="Newer"))
    service.slot.refresh()
    answer = await service.recommendations.recommend("3", Page(10))
    assert (answer.source, answer.model_version) == ("model", 2)
    assert told(answer)[0]["title"].startswith("Newer")


async def test_books_that_are_not_there_are_not_found(service: Components):
    with pytest.raises(BookNotFoundError):
        await service.shelves.book("999")
    with pytest.raises(BookNotFoundError):
        await service.shelves.similar(["999"], Page(5), UNCHANGED)


async def test_without_a_model_nothing_can_be_asked(shelf: Shelf):
    readers, shelves = parts(shelf).recommendations, parts(shelf).shelves
    for question in (
        readers.recommend("3", Page(1)),
        shelves.similar(["3"], Page(1), UNCHANGED),
        shelves.popular(Page(1), UNCHANGED),
        shelves.book("3"),
    ):
        with pytest.raises(NoModelError):
            await question
