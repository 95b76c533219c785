import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pipelines.models.bundle import ModelBundle
from pipelines.registry import CHAMPION, CONTENT, content_of
from serving.model.last import LastModel
from serving.model.slot import ModelSlot
from tests import factories
from tests.fakes import FakeRegistry


@pytest.fixture
def registry(tmp_path: Path) -> FakeRegistry:
    """With one version of a real bundle, which is champion."""
    registry = FakeRegistry()
    publish(registry, tmp_path / "first")
    return registry


def publish(registry: FakeRegistry, folder: Path) -> None:
    factories.bundle([f"{folder.name}-{num:02}" for num in range(factories.N_BOOKS)]).save(folder)
    version = registry.put("hybrid", folder, {CONTENT: content_of(folder)})
    registry.set_alias(CHAMPION, version.version)


@pytest.fixture
def last(registry: FakeRegistry, tmp_path: Path) -> LastModel:
    """Left by a service that has served the champion."""
    last = LastModel(tmp_path / "in-service" / "champion.json")
    ModelSlot(registry, tmp_path, last=last).refresh()
    return last


@contextmanager
def started(registry: FakeRegistry, last: LastModel, tmp_path: Path) -> Iterator[ModelSlot]:
    slot = ModelSlot(registry, tmp_path, last=last)
    thread = threading.Thread(target=slot.poll, args=(0.01,), daemon=True)
    thread.start()
    yield slot
    slot.stop()
    thread.join(5)


def test_a_start_does_not_wait_for_the_registry(
    registry: FakeRegistry, last: LastModel, tmp_path: Path
):
    registry.failure = "connection refused"
    with started(registry, last, tmp_path) as slot:
        _until(lambda: slot.trouble == "connection refused")
        assert slot.loaded().number == 1
        assert slot.loaded().version == registry.versions()[0]
        assert slot.loaded().bundle.popular(1).items[0].book_id == "first-00"


def test_what_was_promoted_meanwhile_is_served_as_soon_as_the_registry_says_so(
    registry: FakeRegistry, last: LastModel, tmp_path: Path
):
    publish(registry, tmp_path / "second")
    with started(registry, last, tmp_path) as slot:
        _until(lambda: slot.current is not None and slot.current.number == 2)
    assert last.recall().version.version == 2


def test_a_model_that_the_registry_does_not_know_leaves(last: LastModel, tmp_path: Path):
    anew = FakeRegistry()
    with started(anew, last, tmp_path) as slot:
        time.sleep(0.5)  # for a look or two
        assert slot.current is None


def test_a_bundle_that_was_rewritten_is_not_taken_for_what_it_was(last: LastModel, tmp_path: Path):
    folder = tmp_path / "first"
    without = ModelBundle.load(folder).without_reader("ann")
    folder.rename(tmp_path / "old")
    without.save(folder)
    assert last.recall() is None


def test_a_bundle_that_is_gone_or_spoilt_is_left_to_the_registry(
    registry: FakeRegistry, last: LastModel, tmp_path: Path
):
    next((tmp_path / "first").rglob("*.npy")).write_bytes(b"")
    registry.failure = "connection refused"
    with started(registry, last, tmp_path) as slot:
        _until(lambda: slot.trouble == "connection refused")
        assert slot.current is None
    (tmp_path / "first").rename(tmp_path / "elsewhere")
    assert last.recall() is None


@pytest.mark.parametrize("content", [None, b"", b"{}", b"\xff"])
def test_a_file_that_is_no_memory_is_none(content: bytes | None, tmp_path: Path):
    path = tmp_path / "champion.json"
    if content is not None:
        path.write_bytes(content)
    assert LastModel(path).recall() is None


def test_a_disk_that_cannot_be_written_to_costs_nobody_an_answer(
    registry: FakeRegistry, tmp_path: Path
):
    (tmp_path / "file").write_text("")
    slot = ModelSlot(registry, tmp_path, last=LastModel(tmp_path / "file" / "champion.json"))
    assert slot.refresh()
    assert slot.loaded().number == 1


def _until(holds) -> None:
    deadline = time.monotonic() + 5
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.005)
