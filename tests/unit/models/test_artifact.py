import json
import shutil

import numpy as np
import pytest

from pipelines.errors import ArtifactError
from pipelines.models.artifact import read_artifact, write_artifact
from pipelines.models.base import ModelConfig
from tests.contract.recommender import is_mapped


class Shelf(ModelConfig):
    width: int = 3


class Drawer(ModelConfig):
    depth: int


ARRAYS = {"numbers": np.arange(6, dtype=np.int32).reshape(2, 3), "empty": np.empty(0, np.float32)}


@pytest.fixture
def folder(tmp_path):
    def write_text(path):
        path.write_text("hello")

    def write_inner(path):
        write_artifact(path, "inner", Shelf(), {"x": np.ones(2)})

    path = tmp_path / "shelf"
    write_artifact(
        path, "shelf", Shelf(width=7), ARRAYS, {"note.txt": write_text, "in/side": write_inner}
    )
    return path


def rewrite(folder, change, *, sign=True):
    """Change the manifest as one would by hand, with or without a valid checksum."""
    from pipelines.models.artifact import _render

    content = json.loads((folder / "manifest.json").read_text())
    change(content)
    if sign:
        content.pop("sha256", None)
        (folder / "manifest.json").write_text(_render(content))
    else:
        (folder / "manifest.json").write_text(json.dumps(content, sort_keys=True, indent=2) + "\n")


def test_what_was_written_is_read(folder):
    artifact = read_artifact(folder, "shelf")
    assert artifact.config_as(Shelf) == Shelf(width=7)
    assert set(artifact.arrays) == set(ARRAYS)
    for name, array in ARRAYS.items():
        assert is_mapped(artifact.array(name))
        assert artifact.array(name).dtype == array.dtype
        assert artifact.array(name).tolist() == array.tolist()


def test_arrays_are_read_only(folder):
    with pytest.raises(ValueError, match="read-only"):
        read_artifact(folder, "shelf").array("numbers")[0, 0] = 9


def test_nothing_else_lies_beside_the_folder(folder):
    assert [path.name for path in folder.parent.iterdir()] == ["shelf"]


def test_failed_write_leaves_nothing(tmp_path):
    def fail(path):
        path.write_text("half")
        raise RuntimeError("disk on fire")

    with pytest.raises(RuntimeError, match="disk on fire"):
        write_artifact(tmp_path / "shelf", "shelf", Shelf(), ARRAYS, {"note.txt": fail})
    assert list(tmp_path.iterdir()) == []


def test_objects_are_refused(tmp_path):
    with pytest.raises(ValueError, match="allow_pickle"):
        write_artifact(tmp_path / "x", "shelf", Shelf(), {"o": np.array([{}], dtype=object)})
    assert list(tmp_path.iterdir()) == []


def test_existing_folder_is_not_overwritten(folder):
    with pytest.raises(ArtifactError, match="exists already"):
        write_artifact(folder, "shelf", Shelf(), {})


def test_missing_folder_is_refused(tmp_path):
    with pytest.raises(ArtifactError, match="no model folder"):
        read_artifact(tmp_path / "nowhere", "shelf")


def test_folder_without_manifest_is_refused(folder):
    (folder / "manifest.json").unlink()
    with pytest.raises(ArtifactError, match="no model folder"):
        read_artifact(folder, "shelf")


@pytest.mark.parametrize("text", ["", "{", "\xff", "[]", "null", '"text"', "{}"])
def test_manifest_that_is_no_manifest_is_refused(folder, text):
    (folder / "manifest.json").write_text(text, encoding="latin-1")
    with pytest.raises(ArtifactError):
        read_artifact(folder, "shelf")


def test_other_format_is_refused(folder):
    rewrite(folder, lambda content: content.update(format=2))
    with pytest.raises(ArtifactError, match="has format 2, this release reads format 1"):
        read_artifact(folder, "shelf")


def test_other_kind_is_refused(folder):
    with pytest.raises(ArtifactError, match="holds a shelf, not a drawer"):
        read_artifact(folder, "drawer")


def test_manifest_with_another_shape_is_refused(folder):
    rewrite(folder, lambda content: content.update(files=[]))
    with pytest.raises(ArtifactError, match="files"):
        read_artifact(folder, "shelf")


def test_edited_manifest_is_refused(folder):
    rewrite(folder, lambda content: content["config"].update(width=8), sign=False)
    with pytest.raises(ArtifactError, match="checksum"):
        read_artifact(folder, "shelf")


def test_missing_file_is_refused(folder):
    (folder / "note.txt").unlink()
    with pytest.raises(ArtifactError, match="is missing"):
        read_artifact(folder, "shelf")


def test_other_size_is_refused(folder):
    with (folder / "note.txt").open("a") as file:
        file.write("!")
    with pytest.raises(ArtifactError, match="6 bytes instead of 5"):
        read_artifact(folder, "shelf")


def test_other_content_is_refused(folder):
    (folder / "note.txt").write_text("hallo")
    with pytest.raises(ArtifactError, match="fails its checksum"):
        read_artifact(folder, "shelf")


def test_exchanged_inner_artifact_is_refused(folder):
    shutil.rmtree(folder / "in" / "side")
    write_artifact(folder / "in" / "side", "inner", Shelf(width=9), {"x": np.ones(2)})
    read_artifact(folder / "in" / "side", "inner")
    with pytest.raises(ArtifactError, match="manifest"):
        read_artifact(folder, "shelf")


@pytest.mark.parametrize("name", ["../secret", "/etc/hostname", "in/../../secret", "..\\secret"])
def test_file_name_that_leads_out_is_refused(folder, name):
    (folder.parent / "secret").write_text("")
    entry = {"bytes": 0, "sha256": "0"}
    rewrite(folder, lambda content: content["files"].update({name: entry}))
    with pytest.raises(ArtifactError, match="leads out of the folder"):
        read_artifact(folder, "shelf")


def test_unknown_array_is_refused(folder):
    with pytest.raises(ArtifactError, match="no array letters"):
        read_artifact(folder, "shelf").array("letters")


def test_config_of_another_release_is_refused(folder):
    with pytest.raises(ArtifactError, match="no valid Drawer: depth"):
        read_artifact(folder, "shelf").config_as(Drawer)


def test_file_that_is_no_array_is_refused(tmp_path):
    def write(path):
        path.write_bytes(b"no array")

    write_artifact(tmp_path / "x", "shelf", Shelf(), {}, {"numbers.npy": write})
    with pytest.raises(ArtifactError, match="is no array"):
        read_artifact(tmp_path / "x", "shelf")


def test_manifest_names_library_versions(folder):
    libraries = json.loads((folder / "manifest.json").read_text())["libraries"]
    assert libraries["numpy"] == np.__version__
