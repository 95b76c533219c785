"""Read the source into typed tables, and give every row that cannot be read its reason."""

from pathlib import Path

import pyarrow.parquet as pq

from pipelines.data.quarantine import counted
from pipelines.data.sources import create_source
from pipelines.data.sources.base import SourceTables
from pipelines.errors import DataError
from pipelines.models.factory import create
from pipelines.stages.run_context import RunContext, Summary
from pipelines.storage.artifacts import file_sha256


def run(ctx: RunContext) -> Summary:
    """
    Write ratings, books (where the source has any) and rejected rows, as found.

    Raises:
        DataError: no row of ratings is usable; the quarantine is there to be looked at.
    """
    for name in ctx.settings.models:  # a wrong name or value shows before any work is done
        create(name, **ctx.settings.hyperparameters.get(name, {}))
    ctx.registry.prepare()
    source = create_source(ctx.params.source)
    tables = source.read(Path(ctx.params.data_path) if ctx.params.data_path else None)
    with ctx.stage("ingest", inputs=()) as draft:
        pq.write_table(tables.ratings, draft.folder / "ratings.parquet")
        pq.write_table(tables.rejected, draft.folder / "quarantine.parquet")
        if tables.books is not None:
            pq.write_table(tables.books, draft.folder / "books.parquet")
        rejected = tables.rejected["dataset"].to_pylist()
        draft.summary |= {
            "label": tables.label,
            "order": tables.order,
            "rating_scale": tables.rating_scale,
            "files": {path.name: file_sha256(path) for path in tables.files},
            "ratings": tables.ratings.num_rows,
            "ratings_rejected": rejected.count("ratings"),
            "books": tables.books.num_rows if tables.books is not None else None,
            "books_rejected": rejected.count("books"),
        }
    _refuse_if_useless(tables, ctx.folder.reading("ingest") / "quarantine.parquet")
    return draft.summary


def _refuse_if_useless(tables: SourceTables, quarantine: Path) -> None:
    if tables.ratings.num_rows == 0 and tables.rejected.num_rows:
        found = counted(tables.rejected, "ratings")
        raise DataError(f"no row of ratings can be used: {found} (see {quarantine})")
