import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from pipelines.errors import ArtifactError, NoModelError
from pipelines.models.bundle import ModelBundle
from pipelines.registry import CHAMPION, CONTENT
from serving.model.slot import (
    PATIENCE_SECONDS,
    RETRY_SECONDS,
    LoadedModel,
    ModelSlot,
    Refusal,
    SlotObserver,
)
from tests import factories
from tests.fakes import FakeBundle
from tests.serving_parts import Shelf, bundle


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_without_a_champion_there_is_no_model(shelf: Shelf):
    slot = shelf.slot()
    assert not slot.refresh()
    with pytest.raises(NoModelError, match="run the pipeline first"):
        slot.loaded()


def test_the_champion_is_loaded_once(shelf: Shelf):
    shelf.publish(bundle())
    slot = shelf.slot()
    assert [slot.refresh(), slot.refresh()] == [True, False]
    assert shelf.registry.fetched == [1]
    assert slot.loaded().number == 1


def test_a_new_champion_replaces_the_old_one_as_a_whole(shelf: Shelf):
    first, second = bundle(), bundle()
    shelf.publish(first)
    slot = shelf.slot()
    slot.refresh()
    taken = slot.loaded()
    shelf.publish(second)
    slot.refresh()
    assert (taken.bundle, taken.number) == (first, 1)
    assert (slot.loaded().bundle, slot.loaded().number) == (second, 2)


def test_a_rollback_is_followed(shelf: Shelf):
    shelf.publish(bundle())
    shelf.publish(bundle())
    slot = shelf.slot()
    slot.refresh()
    shelf.registry.set_alias(CHAMPION, 1)
    assert slot.refresh()
    assert slot.loaded().number == 1


def test_a_corrupt_champion_is_refused_and_the_old_one_stays(shelf: Shelf):
    shelf.publish(bundle())
    slot = shelf.slot()
    slot.refresh()
    shelf.publish(ArtifactError("checksum differs"))
    with capture_logs() as logs:
        assert not slot.refresh()
    assert slot.loaded().number == 1
    assert slot.last_refusal is not None
    assert (slot.last_refusal.version, slot.last_refusal.reason) == (2, "checksum differs")
    assert [(log["event"], log["in_service"]) for log in logs] == [("model_refused", 1)]


def test_the_first_champion_being_corrupt_is_told_to_who_asks(shelf: Shelf):
    shelf.publish(ArtifactError("checksum differs"))
    slot = shelf.slot()
    slot.refresh()
    with pytest.raises(NoModelError, match="checksum differs"):
        slot.loaded()


def test_a_refused_version_is_left_alone_for_a_while_and_logged_once(shelf: Shelf):
    clock = Clock()
    shelf.publish(ArtifactError("checksum differs"))
    slot = shelf.slot(clock=clock)
    with capture_logs() as logs:
        for clock.now in (0.0, 5.0, RETRY_SECONDS - 1, RETRY_SECONDS + 1):
            slot.refresh()
    assert shelf.registry.fetched == [1, 1]
    assert len(logs) == 1


def test_a_new_version_is_tried_at_once_after_a_refusal(shelf: Shelf):
    shelf.publish(ArtifactError("checksum differs"))
    slot = shelf.slot()
    slot.refresh()
    shelf.publish(bundle())
    assert slot.refresh()
    assert slot.last_refusal is None


def test_an_administrator_may_have_a_refused_version_tried_again(shelf: Shelf):
    shelf.publish(ArtifactError("files were still on their way"))
    slot = shelf.slot()
    slot.refresh()
    shelf.bundles = dict.fromkeys(shelf.bundles, bundle())
    assert slot.refresh(retry_refused=True)


def test_an_unreachable_registry_leaves_the_model_and_is_logged_once(shelf: Shelf):
    shelf.publish(bundle())
    slot = shelf.slot()
    slot.refresh()
    shelf.registry.failure = "connection refused"
    with capture_logs() as logs:
        assert [slot.refresh(), slot.refresh()] == [False, False]
    assert slot.loaded().number == 1
    assert [log["event"] for log in logs] == ["model_refused"]


def test_a_refusal_is_forgotten_when_the_champion_is_the_model_in_service(shelf: Shelf):
    shelf.publish(bundle())
    slot = shelf.slot()
    slot.refresh()
    shelf.publish(ArtifactError("checksum differs"))
    slot.refresh()
    shelf.registry.set_alias(CHAMPION, 1)
    slot.refresh()
    assert slot.last_refusal is None


def test_a_model_that_fails_at_its_first_question_is_refused(shelf: Shelf):
    class Broken(FakeBundle):
        def recommend(self, user_id: str, n: int, *, explain: bool = True):
            raise IndexError("index 7 is out of bounds")

    shelf.publish(Broken(bundle().users, bundle().books))
    slot = shelf.slot()
    slot.refresh()
    assert slot.current is None
    assert "index 7 is out of bounds" in str(slot.last_refusal)


def test_a_model_without_books_is_refused(shelf: Shelf):
    shelf.publish(bundle(books=0))
    slot = shelf.slot()
    slot.refresh()
    assert slot.current is None
    assert "no book" in str(slot.last_refusal)


def test_a_model_that_no_longer_gives_its_golden_answers_is_refused(shelf: Shelf, tmp_path: Path):
    factories.bundle().save(tmp_path / "bundle")
    changed = ModelBundle.load(tmp_path / "bundle")
    changed.popularity.scores_ = changed.popularity.scores_[::-1].copy()
    version = shelf.registry.put("hybrid", tmp_path / "bundle", {CONTENT: "same-files"}).version
    shelf.registry.set_alias(CHAMPION, version)
    slot = ModelSlot(shelf.registry, tmp_path, load=lambda _: changed)
    slot.refresh()
    assert slot.current is None
    assert "no longer gives its golden answers: popular books" in str(slot.last_refusal)


def test_changed_aliases_show_without_loading_again(shelf: Shelf):
    shelf.publish(bundle())
    slot = shelf.slot()
    slot.refresh()
    shelf.registry.set_alias("blessed", 1)
    assert not slot.refresh()
    assert slot.loaded().version.aliases == ("blessed", CHAMPION)
    assert shelf.registry.fetched == [1]


def test_polling_finds_the_first_champion_and_outlives_a_defect(shelf: Shelf):
    slot = shelf.slot()
    with capture_logs() as logs:
        thread = threading.Thread(target=slot.poll, args=(0.01,), daemon=True)
        shelf.registry.set_alias(CHAMPION, 99)  # the fake raises KeyError: no such version
        thread.start()
        _wait_until(lambda: bool(logs))
        shelf.publish(bundle())
        _wait_until(lambda: slot.current is not None)
        slot.stop()
        thread.join(2)
    assert logs[0]["event"] == "model_poll_failed"
    assert not thread.is_alive()


def test_who_asks_for_a_look_finds_the_champion_loaded(shelf: Shelf):
    slot = shelf.slot()
    thread = threading.Thread(target=slot.poll, args=(3600,), daemon=True)
    thread.start()
    shelf.publish(bundle())
    slot.look().result(2)
    assert slot.loaded().number == 1
    slot.stop()
    thread.join(2)


def test_a_registry_that_hangs_is_named_until_it_answers(shelf: Shelf):
    clock, answer, asked = Clock(), threading.Event(), threading.Event()
    shelf.publish(bundle())
    slot = shelf.slot(clock=clock)
    slot.refresh()
    by_alias = shelf.registry.by_alias

    def hang(alias: str):
        asked.set()
        answer.wait(5)
        return by_alias(alias)

    shelf.registry.by_alias = hang
    thread = threading.Thread(target=slot.refresh, daemon=True)
    thread.start()
    assert asked.wait(2)
    assert slot.trouble is None
    clock.now = PATIENCE_SECONDS + 1
    assert slot.trouble == "the registry has not answered for 6 s"
    answer.set()
    thread.join(2)
    assert slot.trouble is None


def test_an_outage_is_forgotten_when_the_registry_answers(shelf: Shelf):
    slot = shelf.slot()
    shelf.registry.failure = "connection refused"
    slot.refresh()
    assert slot.trouble == "connection refused"
    shelf.registry.failure = None
    slot.refresh()
    with pytest.raises(NoModelError, match="run the pipeline first"):
        slot.loaded()


def test_a_refusal_is_found_again_after_an_outage(shelf: Shelf):
    shelf.publish(bundle())
    slot = shelf.slot()
    slot.refresh()
    shelf.publish(ArtifactError("checksum differs"))
    slot.refresh()
    shelf.registry.failure = "connection refused"
    slot.refresh()
    shelf.registry.failure = None
    slot.refresh()
    assert slot.trouble == "version 2 was refused: checksum differs"


def _wait_until(condition) -> None:
    deadline = time.monotonic() + 2
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_a_version_whose_content_changed_is_loaded_again(shelf):
    shelf.publish(bundle(title="Before"))
    slot = shelf.slot()
    assert slot.refresh()
    known = shelf.registry.by_alias(CHAMPION)
    tags = {**known.tags, CONTENT: "rewritten"}
    shelf.registry._versions[known.version] = replace(known, tags=tags)
    assert slot.refresh()
    assert slot.current.label == "1-rewritten"
    assert not slot.refresh()


class Notes(SlotObserver):
    def __init__(self) -> None:
        self.told: list[tuple[object, ...]] = []

    def loaded(self, model: LoadedModel) -> None:
        self.told.append(("loaded", model.number))

    def refused(self, refusal: Refusal, in_service: int | None) -> None:
        self.told.append(("refused", refusal.version, in_service))


def test_observers_are_told_of_each_change_once(shelf: Shelf):
    notes = Notes()
    slot = shelf.slot(observers=[notes])
    shelf.publish(bundle())
    slot.refresh()
    slot.refresh()
    shelf.publish(ArtifactError("checksum differs"))
    slot.refresh()
    slot.refresh(retry_refused=True)
    assert notes.told == [("loaded", 1), ("refused", 2, 1)]
