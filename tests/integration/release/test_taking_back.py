"""The service takes a promotion back by itself: real PostgreSQL and MLflow, two workers."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from prometheus_client import CollectorRegistry, Counter
from sqlalchemy import text

from pipelines.registry import MlflowRegistry
from pipelines.release.rollback import AUTOMATIC
from pipelines.service_settings import AbTestSettings, WatchSettings
from pipelines.storage.outbox import Outbox
from pipelines.storage.unit_of_work import unit_of_work
from pipelines.storage.webhooks import WebhookRepository
from serving.model.ab_test import Trial
from serving.model.promotion_watch import PromotionWatch
from serving.model.slot import ModelSlot
from tests.integration.release.conftest import Releases
from tests.integration.release.test_rollback import Killed, die

pytestmark = pytest.mark.integration

READERS = "/api/v1/users/{user_id}/recommendations"


class Worker:
    """A slot and what watches it, without HTTP around it."""

    def __init__(self, releases: Releases, trial: Trial | None = None, **rules: float) -> None:
        settings = releases.settings.model_copy(update={"watch": WatchSettings(**rules)})
        self._registry = CollectorRegistry()
        done = Counter("rollbacks", "Of the test.", ["cause"], registry=self._registry)
        self.watch = PromotionWatch(settings, trial, done)
        self.slot = ModelSlot(releases.registry, settings.home / "models")
        self.slot.observe(self.watch)
        self.slot.refresh()

    def answers(self, good: int, bad: int, reader: str = "ann") -> None:
        for failed, times in ((False, good), (True, bad)):
            for _ in range(times):
                self.watch.answered(READERS, reader, failed=failed)
        self.slot.refresh()

    def taken_back(self, cause: str) -> float:
        return self._registry.get_sample_value("rollbacks_total", {"cause": cause}) or 0

    @property
    def serves(self) -> int:
        self.slot.refresh()
        return self.slot.loaded().number


def corrupt(releases: Releases, version: int) -> None:
    array = next(releases.bundle(version).rglob("*.npy"))
    content = bytearray(array.read_bytes())
    content[-1] ^= 0xFF
    array.write_bytes(content)


def test_a_champion_that_is_broken_is_taken_back_once_however_many_find_it_so(
    releases: Releases,
):
    with unit_of_work(releases.url) as session:
        WebhookRepository(session).add("https://127.0.0.1:9/nobody", ("model.rolled_back",))
    releases.released(1)
    workers = [Worker(releases) for _ in range(2)]
    version = releases.register()
    corrupt(releases, version)
    releases.promote(version)
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(lambda worker: worker.slot.refresh(), workers))
    assert [worker.serves for worker in workers] == [1, 1]
    assert releases.path == [(None, 1, True), (1, 2, True), (2, 1, True)]
    move = releases.moves[-1]
    assert (move.action, move.who) == ("rollback", AUTOMATIC)
    assert "checksum" in move.why
    assert sum(worker.taken_back("refused") for worker in workers) == 1
    with unit_of_work(releases.url) as session:
        (told,) = Outbox(session).all(None, 10)
    data = json.loads(told.body)["data"]
    assert (data["version"], data["from_version"], data["who"]) == (1, 2, AUTOMATIC)


def test_a_champion_whose_answers_fail_is_taken_back_and_the_one_before_is_not(
    releases: Releases,
):
    releases.released(1)
    one, other = Worker(releases), Worker(releases)
    one.answers(0, 1000)  # the first has none before it
    assert (releases.champion, one.taken_back("errors")) == (1, 0)
    releases.promote(releases.register())
    assert (one.serves, other.serves) == (2, 2)
    one.answers(0, 99)  # too few to say
    one.answers(2000, 0)
    assert releases.champion == 2
    one.answers(0, 5)
    other.answers(90, 10)
    assert releases.champion == 1
    assert releases.moves[-1].why == "10.0% of 100 answers failed"
    one.answers(0, 1000)
    assert (one.serves, other.serves) == (1, 1)
    one.answers(0, 1000)  # nothing goes further back by itself
    assert releases.path == [(None, 1, True), (1, 2, True), (2, 1, True)]
    assert (one.taken_back("errors"), other.taken_back("errors")) == (0, 1)


@pytest.mark.parametrize("seconds", [0, 600])
def test_only_a_promotion_of_a_moment_ago_is_taken_back(releases: Releases, seconds: float):
    releases.released(2)
    long_ago = datetime.now(UTC) - timedelta(seconds=601)
    with unit_of_work(releases.url) as session:
        session.execute(text("update alias_moves set at = :at, moved_at = :at"), {"at": long_ago})
    worker = Worker(releases, seconds=seconds)
    worker.answers(0, 1000)
    assert releases.champion == 2
    releases.promote(releases.register())
    assert worker.serves == 3
    worker.answers(0, 1000)
    assert releases.champion == (2 if seconds else 3)


def test_a_rollback_by_hand_is_not_taken_back(releases: Releases):
    releases.released(2)
    releases.roll_back()
    Worker(releases).answers(0, 1000)
    assert releases.champion == 1


def test_what_is_no_answer_of_the_champion_does_not_count(releases: Releases):
    releases.released(2)
    on_trial = ModelSlot(releases.registry, releases.settings.home / "models", alias="challenger")
    trial = Trial(on_trial, AbTestSettings(alias="challenger", share=0.5))
    worker = Worker(releases, trial)
    drawn = next(name for name in map(str, range(99)) if trial.draws(name))
    worker.answers(0, 1000, reader=drawn)
    for route, reader in (("/api/v1/books/popular", None), ("/api/v1/feedback", "ann")):
        for _ in range(200):
            worker.watch.answered(route, reader, failed=True)
    worker.slot.refresh()
    assert releases.champion == 2


def test_what_a_worker_was_killed_at_another_finishes(
    releases: Releases, monkeypatch: pytest.MonkeyPatch
):
    releases.released(2)
    with monkeypatch.context() as patch:
        patch.setattr(MlflowRegistry, "set_alias", die)
        with pytest.raises(Killed):
            Worker(releases).answers(0, 1000)
    assert releases.path[2:] == [(2, 1, False)]
    Worker(releases).answers(0, 1000)
    assert releases.path[2:] == [(2, 1, True)]
    assert releases.champion == 1
