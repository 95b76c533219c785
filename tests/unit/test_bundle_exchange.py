"""Whatever moment a process is killed at, the old bundle or the new one is found, whole."""

import shutil
from pathlib import Path

import pytest

from pipelines.registry import bundle_folders
from pipelines.registry.bundle_folders import bundle_in, exchange, settled


class Killed(BaseException):
    pass


def content(folder: Path) -> str:
    return (folder / "manifest.json").read_text()


def write(_: Path, target: Path) -> bool:
    partial = target.with_name(f".{target.name}.partial")
    partial.mkdir()
    (partial / "array.npy").write_text("new")
    (partial / "manifest.json").write_text("new")
    partial.rename(target)
    return True


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    folder = tmp_path / "data" / "bundle"
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text("old")
    return folder


@pytest.mark.parametrize("at", range(1, 6))
def test_a_kill_leaves_old_or_new_and_the_next_exchange_tidies_up(
    bundle: Path, monkeypatch: pytest.MonkeyPatch, at: int
):
    steps = []

    def dying(do):
        def step(*args, **kwargs):
            steps.append(do)
            if len(steps) == at:
                raise Killed
            return do(*args, **kwargs)

        return step

    with monkeypatch.context() as patch:
        patch.setattr(Path, "mkdir", dying(Path.mkdir))
        patch.setattr(Path, "rename", dying(Path.rename))
        patch.setattr(bundle_folders.shutil, "rmtree", dying(shutil.rmtree))
        with pytest.raises(Killed):
            exchange(bundle, write)
    found = bundle_in(bundle.parent.parent)
    assert content(found) in ("old", "new")
    assert (found / "array.npy").exists() == (content(found) == "new")
    assert exchange(settled(bundle), write)
    assert content(bundle) == "new"
    assert [path.name for path in bundle.parent.iterdir()] == ["bundle"]


def test_where_nothing_is_written_nothing_changes(bundle: Path):
    assert not exchange(bundle, lambda *_: False)
    assert content(settled(bundle)) == "old"
