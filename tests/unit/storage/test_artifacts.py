import os
import signal
import subprocess
import sys
from pathlib import Path

import fsspec
import pytest

from pipelines.errors import ConfigurationError, StorageError
from pipelines.storage.artifacts import RunFolder, new_run_id


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder(str(tmp_path), "run-1", mirror=tmp_path / "mirror")


def write(run: RunFolder, address: str, text: str) -> None:
    with run.writing(address, {"inputs": {}}) as folder:
        (folder / "data.txt").write_text(text)


def test_a_finished_stage_can_be_read(run):
    write(run, "train/item_knn", "learnt")
    assert (run.reading("train/item_knn") / "data.txt").read_text() == "learnt"
    assert list(run.manifest("train/item_knn")["files"]) == ["data.txt"]


def test_an_unfinished_stage_is_an_error_that_says_what_to_do(run):
    with pytest.raises(StorageError, match="run the stages before it first"):
        run.reading("clean")


def test_a_stage_that_raises_leaves_the_old_one_and_no_draft(run):
    write(run, "clean", "old")

    def fail():
        with run.writing("clean", {}) as folder:
            (folder / "data.txt").write_text("half")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert (run.reading("clean") / "data.txt").read_text() == "old"
    assert [p.name for p in run.path.iterdir()] == ["clean"]


def test_a_stage_written_again_replaces_the_first_whole(run):
    with run.writing("clean", {}) as folder:
        (folder / "only-in-the-first.txt").touch()
    write(run, "clean", "second")
    files = sorted(p.name for p in run.reading("clean").iterdir())
    assert files == ["data.txt", "manifest.json"]


def test_a_process_killed_while_writing_leaves_nothing_that_counts(tmp_path):
    script = (
        "import os, signal; from pathlib import Path; "
        "from pipelines.storage.artifacts import RunFolder\n"
        f"run = RunFolder({str(tmp_path)!r}, 'run-1', mirror=Path({str(tmp_path)!r}))\n"
        "with run.writing('clean', {}) as folder:\n"
        "    (folder / 'data.txt').write_text('half')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run([sys.executable, "-c", script], check=False)
    assert killed.returncode == -signal.SIGKILL
    run = RunFolder(str(tmp_path), "run-1", mirror=tmp_path)
    assert not run.has("clean")
    assert len(list(run.path.iterdir())) == 1  # the draft
    write(run, "clean", "whole")
    assert (run.reading("clean") / "data.txt").read_text() == "whole"
    assert [p.name for p in run.path.iterdir()] == ["clean"]


@pytest.mark.parametrize("run_id", ["../escape", "", ".hidden", "a/b", "x" * 129, "nul\0"])
def test_a_run_id_that_is_no_folder_name_is_refused(tmp_path, run_id):
    with pytest.raises(StorageError, match="run id"):
        RunFolder(str(tmp_path), run_id, mirror=tmp_path)


def test_new_run_ids_sort_by_time_and_differ():
    assert len({new_run_id() for _ in range(50)}) == 50


def test_a_remote_storage_is_kept_in_step(tmp_path):
    url = "memory://bucket/prefix"
    writer = RunFolder(url, "run-1", mirror=tmp_path / "one")
    write(writer, "clean", "first")
    reader = RunFolder(url, "run-1", mirror=tmp_path / "two")
    assert (reader.reading("clean") / "data.txt").read_text() == "first"
    write(writer, "clean", "second")
    assert (reader.reading("clean") / "data.txt").read_text() == "second"
    fsspec.filesystem("memory").rm("/bucket", recursive=True)


def test_a_remote_stage_without_its_manifest_does_not_count(tmp_path):
    url = "memory://bucket/prefix"
    write(RunFolder(url, "run-1", mirror=tmp_path / "one"), "clean", "first")
    memory = fsspec.filesystem("memory")
    memory.rm("/bucket/prefix/runs/run-1/clean/manifest.json")
    assert not RunFolder(url, "run-1", mirror=tmp_path / "two").has("clean")
    memory.rm("/bucket", recursive=True)


def test_folders_are_made_with_the_permissions_of_this_user(run):
    write(run, "clean", "x")
    assert run.reading("clean").stat().st_uid == os.getuid()


def test_a_storage_that_cannot_be_used_is_an_error_that_names_the_setting(tmp_path):
    with pytest.raises(ConfigurationError, match="BOOKREC_STORAGE_URL cannot be used"):
        RunFolder("nowhere://bucket/prefix", "run-1", mirror=tmp_path)


def test_a_storage_that_cannot_be_written_to_is_an_error_of_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    run = RunFolder(str(tmp_path / "file"), "run-1", mirror=tmp_path)
    with pytest.raises(StorageError, match="cannot write to"), run.reserved():
        pass


def test_a_damaged_manifest_is_an_error_that_says_what_to_do(run):
    write(run, "clean", "whole")
    (run.path / "clean" / "manifest.json").write_text('{"run_id": "ru')
    with pytest.raises(StorageError, match=r"is damaged .* remove its folder"):
        run.manifest("clean")
