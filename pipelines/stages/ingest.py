"""Read the source into typed tables, and give every row that cannot be read its reason."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.data.erased import ERASED, IsErased, nobody, without_erased
from pipelines.data.parquet import writing
from pipelines.data.quarantine import counted
from pipelines.data.schemas import BOOKS, ENCODED_RATINGS, QUARANTINE, READERS
from pipelines.data.sources import create_source
from pipelines.data.sources.base import Batches, SourceTables
from pipelines.errors import DataError
from pipelines.models.factory import create
from pipelines.stages.addition import on_stored_catalogue
from pipelines.stages.erased_readers import hashes_of_erased, is_erased_by
from pipelines.stages.run_context import RunContext, Summary
from pipelines.storage.loads import LoadRepository
from pipelines.storage.stored_folder import file_sha256


def run(ctx: RunContext) -> Summary:
    """
    Write ratings, books and readers (where the source has any) and rejected rows, as found.

    Rows of readers who were erased are dropped before anything is written, and counted.

    Raises:
        DataError: no row of ratings is usable, and the quarantine is there to be looked at; or a
            reader was erased meanwhile.
    """
    for name in ctx.settings.models:  # a wrong name or value shows before any work is done
        create(name, **ctx.settings.hyperparameters.get(name, {}))
    source = create_source(ctx.params.source, ctx.params.options)
    ctx.registry.prepare()
    erased = hashes_of_erased(ctx)
    with ctx.stage("ingest", inputs=()) as draft:
        draft.summary["load"] = _last_load(ctx)
        tables = source.read(ctx.data_location)
        if ctx.params.mode == "addition":
            tables = on_stored_catalogue(ctx, tables)
        draft.summary |= write_tables(tables, draft.folder, is_erased_by(ctx, erased))
        if hashes_of_erased(ctx) != erased:
            raise DataError("a reader was erased while the source was being read: read it again")
    _refuse_if_useless(draft.summary, ctx.folder.reading("ingest") / "quarantine.parquet")
    return draft.summary


def _last_load(ctx: RunContext) -> int:
    """The number of the library's last load: asked before reading, so that none is missed later."""
    with ctx.unit_of_work() as session:
        last = LoadRepository(session, ctx.params.dataset).last()
        return last.number if last else 0


@dataclass
class _Counts:
    """What has been written of one dataset."""

    read: int = 0
    kept: int = 0
    rejected: int = 0
    erased: int = 0
    timed: int = 0
    """Ratings of which the time is known."""
    repairs: Counter[str] = field(default_factory=Counter)


def write_tables(tables: SourceTables, folder: Path, is_erased: IsErased = nobody) -> Summary:
    """Write everything below `folder` but erased readers, a batch at a time; what was written."""
    with (
        pq.ParquetWriter(folder / "quarantine.parquet", QUARANTINE) as rejected,
        ThreadPoolExecutor(1) as beside,
    ):
        checksums = {str(path): beside.submit(file_sha256, path) for path in tables.files}
        write = partial(_write, rejected=rejected, is_erased=is_erased)
        ratings = write(tables.ratings, folder / "ratings.parquet", ENCODED_RATINGS)
        books = write(tables.books, folder / "books.parquet", BOOKS)
        readers = write(tables.readers, folder / "readers.parquet", READERS)
    if tables.editions is not None:
        pq.write_table(tables.editions(), folder / "editions.parquet")
    counts = {"ratings": ratings, "books": books, "readers": readers}
    return {
        "label": tables.label,
        "order": tables.order or ("timestamp" if ratings and ratings.timed else "none"),
        "rating_scale": tables.rating_scale,
        "book_ids": tables.book_ids,
        "catalogue_is_complete": tables.catalogue_is_complete,
        "files": {path: checksum.result() for path, checksum in checksums.items()},
        **{name: found and found.kept for name, found in counts.items()},
        **{f"{name}_rejected": found.rejected if found else 0 for name, found in counts.items()},
        "rows": {name: found.read for name, found in counts.items() if found},
        ERASED: {name: found.erased for name, found in counts.items() if found},
        "repairs": {name: dict(found.repairs) for name, found in counts.items() if found},
    }


def _write(
    batches: Batches | None,
    path: Path,
    schema: pa.Schema,
    rejected: pq.ParquetWriter,
    is_erased: IsErased,
) -> _Counts | None:
    if batches is None:
        return None
    counts = _Counts()
    with writing(path, schema) as keep:
        for found in batches:
            batch, erased = without_erased(found, is_erased)
            counts.read += len(found.kept) + len(found.rejected)
            counts.erased += erased
            keep(batch.kept)
            rejected.write_table(batch.rejected)
            counts.kept += len(batch.kept)
            counts.rejected += len(batch.rejected)
            counts.repairs += Counter(batch.repairs)
            if schema is ENCODED_RATINGS:
                counts.timed += len(batch.kept) - batch.kept["rated_at"].null_count
    return counts


def _refuse_if_useless(told: Summary, quarantine: Path) -> None:
    if told["ratings"] == 0 and told["ratings_rejected"]:
        found = counted(pq.read_table(quarantine), "ratings")
        raise DataError(f"no row of ratings can be used: {found} (see {quarantine})")
