import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import structlog

from pipelines.errors import EmbeddingError
from pipelines.models.embeddings import cache
from pipelines.models.embeddings.cache import FILE, embed


class CountingProvider:
    name = "counting"

    def __init__(self, size: int = 4, model: str = "m", fails_at: int | None = None) -> None:
        self.size = size
        self.model = model
        self.fails_at = fails_at
        self.texts: list[str] = []

    def embed(self, texts: Sequence[str], *, urgent: bool = False) -> np.ndarray:
        self.texts += texts
        if self.fails_at is not None and len(self.texts) > self.fails_at:
            raise EmbeddingError("out of order")
        rows = [np.random.default_rng(len(t)).normal(size=self.size) for t in texts]
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


TEXTS = ["x" * i for i in range(1, 151)]


@pytest.fixture
def events():
    with structlog.testing.capture_logs() as logs:
        yield logs


def asked(folder: Path, texts: Sequence[str] = TEXTS, **kwargs) -> int:
    provider = CountingProvider(**kwargs)
    vectors = embed(provider, texts, folder)
    assert vectors.tobytes() == CountingProvider(**kwargs).embed(texts).tobytes()
    return len(provider.texts)


def warnings_of(events) -> list[str]:
    return [e["event"] for e in events if e["log_level"] == "warning"]


def test_unchanged_texts_are_asked_for_once(tmp_path, events):
    assert asked(tmp_path) == 150
    assert asked(tmp_path) == 0
    assert warnings_of(events) == []


def test_new_text_costs_one_text(tmp_path):
    asked(tmp_path)
    assert asked(tmp_path, [*TEXTS[::-1], "new one"]) == 1


def test_equal_texts_cost_one_text(tmp_path):
    assert asked(tmp_path, ["same"] * 9) == 1


def test_without_a_folder_nothing_is_kept():
    assert asked(None) == asked(None) == 150


def test_another_model_is_asked_itself(tmp_path):
    asked(tmp_path)
    assert asked(tmp_path, model="other") == 150
    assert asked(tmp_path) == 0


def test_another_size_drops_what_was_kept(tmp_path, events):
    asked(tmp_path, TEXTS[:100])
    provider = CountingProvider(size=6)
    assert embed(provider, TEXTS, tmp_path).shape == (150, 6)
    assert warnings_of(events) == ["embeddings_of_another_size_dropped"]
    assert asked(tmp_path, size=6) == 0


def test_sizes_that_keep_changing_are_an_error(tmp_path):
    class Fickle(CountingProvider):
        def embed(self, texts, *, urgent=False):
            self.size += 1
            return super().embed(texts)

    with pytest.raises(EmbeddingError, match="unequal length"):
        embed(Fickle(), TEXTS, tmp_path)


def test_failure_keeps_the_batches_before_it(tmp_path):
    with pytest.raises(EmbeddingError):
        embed(CountingProvider(fails_at=128), TEXTS, tmp_path)
    assert asked(tmp_path) == 150 - 128


KILLED = """
import os, signal
from pathlib import Path
from pipelines.models.embeddings.cache import embed
from tests.unit.models.embeddings.test_cache import CountingProvider, TEXTS
class Mortal(CountingProvider):
    def embed(self, texts, *, urgent=False):
        if self.texts: os.kill(os.getpid(), signal.SIGKILL)
        return super().embed(texts)
embed(Mortal(), TEXTS, Path({folder!r}))
"""


def test_killed_process_loses_no_finished_batch(tmp_path):
    root = str(Path(cache.__file__).parents[3])
    code = KILLED.format(folder=str(tmp_path))
    done = subprocess.run([sys.executable, "-c", code], cwd=root, check=False)
    assert done.returncode == -9
    assert asked(tmp_path) == 150 - cache.BATCH_TEXTS


def test_two_processes_at_once(tmp_path):
    root = str(Path(cache.__file__).parents[3])
    code = (
        "from pathlib import Path\n"
        "from pipelines.models.embeddings.cache import embed\n"
        "from tests.unit.models.embeddings.test_cache import CountingProvider, TEXTS\n"
        f"embed(CountingProvider(), TEXTS + [str(i) * 99 for i in range(500)], "
        f"Path({str(tmp_path)!r}))\n"
    )
    running = [subprocess.Popen([sys.executable, "-c", code], cwd=root) for _ in range(2)]
    assert [process.wait() for process in running] == [0, 0]
    assert asked(tmp_path) == 0


@pytest.mark.parametrize("content", [b"garbage" * 1000, b"SQLite format 3\0" + b"\xff" * 5000])
def test_file_that_is_no_cache_is_put_aside(tmp_path, events, content):
    (tmp_path / FILE).write_bytes(content)
    assert asked(tmp_path) == 150
    assert warnings_of(events) == ["embedding_cache_unusable"]
    assert len(list(tmp_path.glob("*.broken"))) == 1
    assert asked(tmp_path) == 0


def test_torn_file_is_never_believed(tmp_path, events):
    asked(tmp_path)
    content = (tmp_path / FILE).read_bytes()
    (tmp_path / FILE).write_bytes(content[: len(content) // 2])
    asked(tmp_path)
    assert set(warnings_of(events)) == {"embedding_cache_unusable"}


def test_changed_vector_is_computed_again(tmp_path, events):
    asked(tmp_path)
    with sqlite3.connect(tmp_path / FILE) as connection:
        connection.execute(
            "UPDATE embedding SET vector = zeroblob(16) "
            "WHERE text_sha256 = (SELECT min(text_sha256) FROM embedding)"
        )
    connection.close()
    assert asked(tmp_path) == 1
    assert warnings_of(events) == ["corrupt_embeddings_ignored"]
    assert asked(tmp_path) == 0


def test_folder_that_cannot_be_made_costs_the_cache_alone(tmp_path, events):
    (tmp_path / "taken").write_text("a file")
    assert asked(tmp_path / "taken" / "folder") == 150
    assert warnings_of(events) == ["embedding_cache_unusable"]
