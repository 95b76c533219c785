"""A folder of parts: on the disk before they have a name, and gone manifest first."""

import os
from pathlib import Path

import fsspec
import pytest

from pipelines.errors import StorageError
from pipelines.storage import stored_folder
from pipelines.storage.stored_folder import MANIFEST, StoredFolder


def test_a_durable_part_is_on_the_disk_before_it_has_its_name(tmp_path: Path, monkeypatch):
    synced: list[int] = []
    at_rename: list[set[int]] = []
    whole = stored_folder._replace_folder

    def replace(draft: Path, final: Path) -> None:
        at_rename.append({p.stat().st_ino for p in [draft, *draft.rglob("*")]} - set(synced))
        whole(draft, final)

    monkeypatch.setattr(os, "fsync", lambda fd: synced.append(os.fstat(fd).st_ino))
    monkeypatch.setattr(stored_folder, "_replace_folder", replace)
    for durable in (True, False):
        folder = StoredFolder(str(tmp_path), "backups", mirror=tmp_path, durable=durable)
        with folder.writing("one", {}) as draft:
            (draft / "deep").mkdir()
            (draft / "deep" / "file").write_text("content")
    assert at_rename[0] == set()
    assert len(at_rename[1]) == 4
    assert (tmp_path / "backups").stat().st_ino in synced


@pytest.mark.parametrize("url", ["{tmp}", "memory://parts"])
def test_parts_are_listed_read_and_removed(tmp_path: Path, url: str):
    fsspec.filesystem("memory").rm("/", recursive=True)
    folder = StoredFolder(url.format(tmp=tmp_path), "backups", mirror=tmp_path / "mirror")
    assert folder.parts() == []
    for name in ("b", "a"):
        with folder.writing(name, {"told": name}) as draft:
            (draft / "file").write_text(name)
    folder._fs.rm_file(folder._manifest_of("b"))  # as a kill would leave it
    assert folder.parts() == ["a"]
    assert folder.recorded("a")["told"] == "a"
    assert folder.content("a", "file") == b"a"
    with pytest.raises(StorageError, match=r"there is no .*/b, or it is not whole"):
        folder.recorded("b")
    folder.remove("a")
    assert folder.parts() == []
    assert not (folder.path / "a" / MANIFEST).exists()
    with pytest.raises(StorageError, match="cannot be read"):
        folder.content("a", "file")
