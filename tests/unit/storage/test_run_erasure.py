"""Runs that hold a reader, in a folder, and in a remote storage with its mirror."""

from pathlib import Path
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.erasure import runs
from pipelines.errors import StorageError
from pipelines.run_params import RunParams
from pipelines.storage.artifacts import RunFolder
from pipelines.storage.run_copies import RunCopy, run_copies

PARAMS = RunParams(source="interactions", data_path="/somewhere/shop")


@pytest.fixture(params=["folder", "remote"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "storage") if request.param == "folder" else f"memory://{uuid4().hex}"


def written(storage: str, mirror: Path, run_id: str, table: pa.Table) -> RunFolder:
    folder = RunFolder(storage, run_id, mirror=mirror)
    for stage in ("clean", "register"):
        with folder.writing(stage, {"params": PARAMS.model_dump(), "summary": {"e.g.": "7"}}) as at:
            pq.write_table(table, at / "table.parquet")
    return folder


def held(storage: str, mirror: Path, user_id: str) -> list[RunCopy]:
    return [copy for copy in run_copies(storage, mirror) if runs.holds(copy, user_id)]


@pytest.mark.parametrize(
    "column",
    [pa.array([7, 8]), pa.array(["7", None]), pa.array(["17", "7"]).dictionary_encode()],
)
def test_a_reader_is_found_whatever_type_ids_have(storage: str, tmp_path: Path, column: pa.Array):
    table = pa.table({"user_id": column})
    written(storage, tmp_path / "mirror", "one", table)
    written(storage, tmp_path / "mirror", "other", pa.table({"user_id": ["8"], "age": [7]}))
    assert {copy.run_id for copy in held(storage, tmp_path / "mirror", "7")} == {"one"}


def test_the_data_go_in_every_copy_and_reading_them_says_why(storage: str, tmp_path: Path):
    mirror = tmp_path / "mirror"
    written(storage, mirror, "one", pa.table({"user_id": ["7"]}))
    draft = mirror if storage.startswith("memory") else Path(storage)
    (draft / "runs" / "one" / ".ingest.0123").mkdir()
    (draft / "runs" / "one" / ".ingest.0123" / "half.parquet").write_bytes(b"PAR1 cut off")
    found = held(storage, mirror, "7")
    assert {runs.library_of(copy) for copy in found} == {PARAMS.dataset}
    for copy in found:
        assert runs.erase_run(copy, when="2026-11-25") > 0
    folder = RunFolder(storage, "one", mirror=mirror)
    with pytest.raises(StorageError, match="'clean' any more: its data were removed"):
        folder.reading("clean")
    with pytest.raises(StorageError, match="no finished 'ingest'"):
        folder.reading("ingest")
    assert folder.has("register")
    for copy in run_copies(storage, mirror):
        names = copy.files()
        assert sorted(names) == sorted(
            ["clean/erased.json", "erased.json", "register/manifest.json", "register/table.parquet"]
        )
        assert b"e.g." not in copy.read("clean/erased.json")
        assert not runs.is_being_erased(copy)


def test_an_erased_run_may_be_made_again(storage: str, tmp_path: Path):
    mirror = tmp_path / "mirror"
    written(storage, mirror, "one", pa.table({"user_id": ["7"]}))
    for copy in held(storage, mirror, "7"):
        runs.erase_run(copy, when="2026-11-25")
    written(storage, mirror, "one", pa.table({"user_id": ["8"]}))
    folder = RunFolder(storage, "one", mirror=mirror)
    assert pq.read_table(folder.reading("clean") / "table.parquet")["user_id"].to_pylist() == ["8"]
