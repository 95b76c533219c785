"""
A reader in run folders.

To take a reader's rows out of a run would make its vocabularies and checksums wrong. So the data of
every run that holds the reader go as a whole: they can be made again from their source. What stays
is about nobody: models of books, metrics, and what a run was made with.
"""

import json
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines.data.erased import reader_ids, rows_of
from pipelines.errors import ConfigurationError
from pipelines.models.base import KeepsReaders
from pipelines.models.factory import model_class
from pipelines.run_params import RunParams
from pipelines.storage.artifacts import ERASED
from pipelines.storage.run_copies import RunCopy
from pipelines.storage.stored_folder import MANIFEST

UNKNOWN = "unknown"
"""The library of a run that was killed before it could say which."""
MARK = ERASED
"""In the run's own folder: that its data are being removed, or were."""

_KEPT = ("evaluate/report/", "evaluate/metrics.json", "evaluate/learning_curve.json")
_KEPT_STAGES = ("store", "register", "promote", "warm_cache")
_LOCK = ".lock"


def library_of(copy: RunCopy) -> str:
    """The library that a run belongs to."""
    for name in copy.files():
        if name.rpartition("/")[2] in (MANIFEST, ERASED) and "params" in (
            told := _json(copy, name)
        ):
            return RunParams(**told["params"]).dataset
    return UNKNOWN


def is_being_erased(copy: RunCopy) -> bool:
    """Whether an earlier attempt was killed on the way."""
    return MARK in copy.files() and not _json(copy, MARK)["finished"]


def holds(copy: RunCopy, user_id: str) -> bool:
    """Whether any table of a run has a row of this reader."""
    tables = [name for name in copy.files() if name.endswith(".parquet")]
    return any(_is_in(copy, name, user_id) for name in tables)


def erase_run(copy: RunCopy, *, when: str) -> int:
    """
    Remove the data of a run; gives the number of files removed.

    Manifests go first, so that no stage takes what is left of a folder for whole.
    """
    copy.write(MARK, _rendered({"erased_at": when, "finished": False}))
    doomed = [name for name in copy.files() if not _is_kept(name)]
    for name in doomed:
        if _is_of_a_stage(copy, name):
            _close(copy, name, when)
    for name in doomed:
        copy.remove(name)
    copy.write(MARK, _rendered({"erased_at": when, "finished": True}))
    return len(doomed)


def _close(copy: RunCopy, name: str, when: str) -> None:
    """Keep what a stage was made with; what it told may show a value of a row as an example."""
    recorded = {key: value for key, value in _json(copy, name).items() if key != "summary"}
    folder = name.removesuffix(MANIFEST)
    copy.write(f"{folder}{ERASED}", _rendered({**recorded, "erased_at": when}))


def _is_kept(name: str) -> bool:
    first, *rest = name.split("/")
    if any(part.startswith(".") for part in (first, *rest)):  # what a killed writer left
        return name == _LOCK
    if (rest and rest[-1] == ERASED) or name == MARK:
        return True
    if first == "train" and len(rest) > 1:
        return not _keeps_readers(rest[0])
    return first in _KEPT_STAGES or name.startswith(_KEPT)


def _keeps_readers(model: str) -> bool:
    try:
        return issubclass(model_class(model), KeepsReaders)
    except ConfigurationError:  # its package is gone, and nobody can tell
        return True


def _is_of_a_stage(copy: RunCopy, name: str) -> bool:
    is_draft = any(part.startswith(".") for part in name.split("/"))
    return not is_draft and name.endswith(f"/{MANIFEST}") and "address" in _json(copy, name)


def _is_in(copy: RunCopy, name: str, user_id: str) -> bool:
    with copy.open(name) as stream:
        try:
            table = pq.ParquetFile(stream)
        except pa.ArrowInvalid:  # written by half, of rows that nobody can look at
            return True
        wanted = [c for c in ("user_id", "original") if c in table.schema_arrow.names]
        batches = table.iter_batches(columns=wanted) if wanted else ()
        return any(_is_among(batch, user_id) for batch in batches)


def _is_among(batch: pa.RecordBatch, user_id: str) -> bool:
    if "original" in batch.schema.names:
        originals = batch["original"].to_pylist()
        return any(user_id in reader_ids(original) for original in originals)
    ids = pa.chunked_array([batch["user_id"]])
    return bool(pc.any(rows_of(ids, user_id.__eq__)).as_py())


def _json(copy: RunCopy, name: str) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(copy.read(name))
    return told


def _rendered(told: dict[str, Any]) -> bytes:
    return json.dumps(told, indent=1).encode()
