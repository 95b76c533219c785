"""What many readers get in one request, beside what each would get alone."""

import itertools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest

from pipelines.errors import CacheUnavailableError
from pipelines.models.reranking import UNCHANGED
from pipelines.registry import CHALLENGER
from pipelines.storage.cache_keys import list_key, recent_key
from serving.bootstrap import Components
from serving.caching.cache import NullCache
from serving.caching.written_list import WrittenList
from serving.model.slot import LoadedModel
from serving.recommending.paging import Page, ServedList
from serving.recommending.readers import LOOKED_AT_ONCE
from tests.fakes import FakeBundle, FakeCache
from tests.serving_parts import Shelf, bundle, parts

pytestmark = pytest.mark.anyio

MANY = [str(reader) for reader in range(1, 2 * LOOKED_AT_ONCE + 10)]
HEARD = b'{"book_id":"12"}\n'


class Failing(FakeCache):
    """Fails at the questions, or the writes, that are named by their place."""

    def __init__(self, *, reads: Sequence[int] = (), writes: Sequence[int] = ()) -> None:
        super().__init__()
        self._reads, self._writes = failures(reads), failures(writes)
        self.asked: list[int] = []

    async def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        self.asked.append(len(keys))
        if next(self._reads):
            raise CacheUnavailableError("gone")
        return await super().get_many(keys)

    async def put(self, values: Mapping[str, bytes], ttl_seconds: int) -> None:
        if next(self._writes):
            raise CacheUnavailableError("gone")
        await super().put(values, ttl_seconds)


def failures(places: Sequence[int]) -> Iterator[bool]:
    return (place in places for place in itertools.count())


@pytest.fixture
def model(shelf: Shelf) -> FakeBundle:
    model = bundle(readers=len(MANY))
    shelf.publish(model)
    return model


async def batch(
    service: Components, *readers: str, n: int = 10, explain: bool = False
) -> list[ServedList]:
    return await service.recommendations.recommend_to_many(
        readers, n, explain=explain, reranking=UNCHANGED
    )


async def alone(
    service: Components, *readers: str, n: int = 10, explain: bool = False
) -> list[ServedList]:
    """One request after the other."""
    ask = service.recommendations.recommend
    return [await ask(reader, Page(n), explain=explain) for reader in readers]


def told(answer: ServedList) -> tuple[Any, int, list[dict[str, Any]]]:
    """Whose list it is, by which model, and its books as they go out."""
    books = json.loads(answer.books.json(explain=answer.explain))
    return answer.asked_for, answer.model_version, books


def sources(answers: Sequence[ServedList]) -> list[str]:
    return [answer.source for answer in answers]


def key_of(service: Components, reader: str, heard: bytes = b"") -> str:
    loaded: LoadedModel = service.slot.loaded()
    return list_key(service.model_name, loaded.label, 50, reader, heard)


async def test_only_lists_that_are_not_kept_are_made(
    service: Components, model: FakeBundle, cache: FakeCache
):
    kept = await batch(service, *MANY[:100])
    model.questions.clear()
    answers = await batch(service, *MANY)
    assert sources(kept) == ["model"] * 100
    assert sources(answers) == ["cache"] * 100 + ["model"] * (len(MANY) - 100)
    assert model.questions == MANY[100:]
    assert cache.values.keys() == {key_of(service, reader) for reader in MANY}
    assert [told(answer) for answer in kept] == [told(answer) for answer in answers[:100]]


@pytest.mark.parametrize("explain", [False, True])
@pytest.mark.parametrize("n", [3, 50, 60])
async def test_each_gets_what_they_would_get_alone(
    service: Components, cache: FakeCache, n: int, explain: bool
):
    """Known, unknown, heard of lately, asked for twice; some of them kept, some not."""
    for reader in ("4", "nobody"):
        cache.values[recent_key(service.model_name, reader)] = HEARD
    readers = ["7", "stranger", "4", "2", "7", "nobody", "999"]
    await batch(service, "2", "4")
    for _ in range(2):
        answers = await batch(service, *readers, n=n, explain=explain)
        singles = await alone(service, *readers, n=n, explain=explain)
        assert [told(answer) for answer in answers] == [told(answer) for answer in singles]
    if n <= 50:
        assert sources(answers) == sources(singles)
        assert sources(answers) == [
            "cache", "fallback", "cache", "cache", "cache", "cache", "fallback",
        ]  # fmt: skip


async def test_what_is_kept_of_one_request_is_found_by_the_other(
    service: Components, model: FakeBundle
):
    """The whole list, with reasons, however few were asked for."""
    await batch(service, "3", n=2)
    singles = await alone(service, "3", n=50, explain=True)
    await alone(service, "5", n=1)
    together = await batch(service, "5", "3", n=50, explain=True)
    assert sources([*singles, *together]) == ["cache"] * 3
    assert [len(answer.books) for answer in (*singles, *together)] == [50] * 3
    assert told(together[1])[2][0]["reasons"] == ["because"]
    assert model.questions == ["3", "5"]


async def test_of_whom_something_is_heard_the_list_before_is_not_given(
    service: Components, cache: FakeCache
):
    before = await batch(service, "7", "8")
    cache.values[recent_key(service.model_name, "7")] = HEARD
    after = await batch(service, "7", "8")
    assert sources(after) == ["model", "cache"]
    assert told(after[0])[2] == told((await batch(service, "3"))[0])[2]  # as the fake has it
    assert told(after[0]) != told(before[0])
    assert key_of(service, "7", HEARD) in cache.values


async def test_of_strangers_nothing_is_kept_or_read(service: Components, cache: FakeCache):
    """Nor of an erased reader, whose list may lie there still."""
    (somebody,) = await batch(service, "3")
    cache.values[key_of(service, "erased")] = WrittenList(somebody.books.lines).value
    before = dict(cache.values)
    answers = await batch(service, "erased", "nobody")
    assert sources(answers) == ["fallback"] * 2
    assert told(answers[0])[2] == told(answers[1])[2]
    assert cache.values == before


async def test_each_is_answered_by_the_model_of_their_group(shelf: Shelf, cache: FakeCache):
    shelf.publish(bundle(title="Old"))
    shelf.publish(bundle(title="Tried"), CHALLENGER)
    service = parts(shelf, cache, ab_test={"alias": CHALLENGER, "share": 0.5})
    readers = MANY[:20]
    for source in ("model", "cache"):
        answers = await batch(service, *readers)
        assert set(sources(answers)) == {source}
        singles = await alone(service, *readers)
        assert [told(answer) for answer in answers] == [told(answer) for answer in singles]
        assert {answer.model_version for answer in answers} == {1, 2}


@pytest.mark.parametrize("spoilt", [b"", b"nonsense", b"list-1 00000000\n{}", b"\x80" * 5_000])
async def test_an_unreadable_entry_is_replaced(
    service: Components, cache: FakeCache, spoilt: bytes
):
    whole = await batch(service, "3", "4")
    cache.values[key_of(service, "3")] = spoilt
    answers = await batch(service, "3", "4")
    assert sources(answers) == ["model", "cache"]
    assert [told(answer) for answer in answers] == [told(answer) for answer in whole]
    assert sources(await batch(service, "3", "4")) == ["cache"] * 2


@pytest.mark.usefixtures("model")
@pytest.mark.parametrize("lost", [[0], [1], [0, 1, 2]])
async def test_a_cache_that_goes_away_changes_no_answer(shelf: Shelf, lost: list[int]):
    """At the first question, at one in the middle, or at all."""
    service = parts(shelf, Failing())
    healthy = await batch(service, *MANY)
    failing = Failing(reads=[3 + place for place in lost])
    service = parts(shelf, failing)
    await batch(service, *MANY)
    answers = await batch(service, *MANY)
    assert len(failing.asked) == 6
    away = sources(answers).count("model")
    expected = sum(len(MANY[64 * place :][:64]) for place in lost)
    assert away == expected
    assert [told(answer)[2] for answer in answers] == [told(answer)[2] for answer in healthy]


@pytest.mark.usefixtures("model")
async def test_a_cache_that_goes_away_between_two_questions_changes_no_answer(shelf: Shelf):
    cache = Failing(reads=[1])
    service = parts(shelf, cache)
    cache.values[recent_key(service.model_name, "7")] = HEARD
    answers = await batch(service, "7", "8")
    assert cache.asked == [4, 1]
    assert cache.values.keys() == {recent_key(service.model_name, "7")}  # nor is it asked to keep
    assert sources(answers) == ["model"] * 2
    again = await batch(service, "7", "8")
    assert [told(answer) for answer in again] == [told(answer) for answer in answers]


@pytest.mark.usefixtures("model")
async def test_what_cannot_be_stored_is_given_all_the_same(shelf: Shelf):
    cache = Failing(writes=[0])
    service = parts(shelf, cache)
    assert sources(await batch(service, *MANY)) == ["model"] * len(MANY)
    assert len(cache.values) == len(MANY) - LOOKED_AT_ONCE
    assert service.metrics.cache_results() == {
        "miss": len(MANY),
        "unavailable": LOOKED_AT_ONCE,
        "stored": len(MANY) - LOOKED_AT_ONCE,
    }


@pytest.mark.parametrize("away", [True, False])
async def test_where_nothing_is_kept_no_more_is_made_than_is_asked(
    shelf: Shelf, model: FakeBundle, cache: FakeCache, away: bool, monkeypatch: pytest.MonkeyPatch
):
    cache.failure = "connection refused"
    made: list[tuple[int, bool]] = []
    recommend = model.recommend_to

    def noting(histories, n, *, explain, **more):
        made.append((n, explain))
        return recommend(histories, n, explain=explain, **more)

    monkeypatch.setattr(model, "recommend_to", noting)
    service = parts(shelf, cache if away else NullCache())
    made.clear()
    answers = await batch(service, "3", "4", n=4)
    assert sources(answers) == ["model"] * 2
    assert made == [(4, False)]


@pytest.mark.usefixtures("model")
async def test_all_is_counted_as_in_single_requests(shelf: Shelf):
    """What the cache did, and what was given."""
    counted = []
    for together in (True, False):
        cache = FakeCache()
        service = parts(shelf, cache)

        async def ask(*readers: str, service: Components = service, together: bool = together):
            await (batch if together else alone)(service, *readers)

        cache.values[recent_key(service.model_name, "2")] = HEARD
        await ask("1", "2")
        await ask("2", "3", "nobody", "1")
        cache.failure = "connection refused"
        await ask("1", "2", "nobody")
        text = service.metrics.render().decode()
        lists = re.findall(r"^bookrec_recommendations_total.*", text, re.MULTILINE)
        counted.append((service.metrics.cache_results(), sorted(lists)))
    assert counted[0] == counted[1]
    assert counted[0][0] == {"miss": 3, "stored": 3, "hit": 2, "unavailable": 3}
