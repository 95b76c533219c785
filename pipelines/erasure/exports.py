"""A reader in exported lists."""

from pathlib import Path
from uuid import uuid4

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines.data.erased import rows_of
from pipelines.erasure.bundles import library_of
from pipelines.registry import ModelVersion
from pipelines.settings import Settings
from pipelines.storage.exports import Export, ExportRepository
from pipelines.storage.unit_of_work import unit_of_work


def record(settings: Settings, path: Path, version: ModelVersion) -> None:
    """Note where a list for every reader is written to."""
    with unit_of_work(settings.known_database_url) as session:
        ExportRepository(session).record(Export(path, library_of(version), version.version))


def holds(path: Path, user_id: str) -> bool:
    """
    Whether an export has rows of this reader; False where it is gone.

    Raises:
        OSError, pa.ArrowInvalid: it cannot be read, or is no such export any more.
    """
    if not path.exists():
        return False
    with pq.ParquetFile(path) as table:
        batches = table.iter_batches(columns=["user_id"])
        return any(pc.any(_rows(batch, user_id)).as_py() for batch in batches)


def rewrite(path: Path, user_id: str) -> int:
    """
    Write an export again without this reader's rows, whole or not at all; how many those were.

    Raises:
        OSError, pa.ArrowInvalid: it cannot be read or written; it is as it was.
    """
    draft, removed = path.with_name(f".{path.name}.{uuid4().hex}"), 0
    try:
        with pq.ParquetFile(path) as table, pq.ParquetWriter(draft, table.schema_arrow) as writer:
            for batch in table.iter_batches():
                others = batch.filter(pc.invert(_rows(batch, user_id)))
                writer.write_batch(others)
                removed += len(batch) - len(others)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    return removed


def _rows(batch: pa.RecordBatch, user_id: str) -> pa.Array:
    return rows_of(pa.chunked_array([batch["user_id"]]), user_id.__eq__).combine_chunks()
