"""Parquet files: the wanted columns, typed as found."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from upath import UPath

from pipelines.data.sources.files import opened
from pipelines.data.sources.raw_file import ChooseColumns, RawBatch
from pipelines.errors import SourceError

BATCH_ROWS = 128 << 10


def read_parquet(path: UPath, choose: ChooseColumns) -> Iterator[RawBatch]:
    """
    The wanted columns of a Parquet file, dictionaries unfolded: at least one batch, maybe empty.

    Raises:
        SourceError: not readable, truncated, or holding text that is not UTF-8.
    """
    with opened(path) as stream:
        if not stream.read(1):
            raise SourceError(f"{path} is empty: it needs columns and at least one row")
        try:
            file = pq.ParquetFile(stream)
            header = file.schema_arrow.names
            chosen = choose(path, header)
            found_as = {name: header[at] for name, at in chosen.items()}
            rows = 0
            wanted = list(dict.fromkeys(found_as.values()))
            for batch in file.iter_batches(BATCH_ROWS, columns=wanted):
                yield _raw(path, batch, found_as, rows)
                rows += len(batch)
            if not rows:
                yield _raw(path, file.schema_arrow.empty_table(), found_as, 0)
        except (pa.ArrowException, OSError) as error:
            raise SourceError(
                f"{path} cannot be read as Parquet ({error}): write it anew"
            ) from error


def _raw(
    path: UPath, batch: pa.RecordBatch | pa.Table, found_as: dict[str, str], before: int
) -> RawBatch:
    columns = pa.table({name: _plain(batch, found) for name, found in found_as.items()})
    columns.validate(full=True)  # Parquet readers take text on trust
    rows = np.arange(before + 1, before + len(columns) + 1)
    return RawBatch(path=path, columns=columns, found_as=found_as, rows=rows)


def _plain(batch: pa.RecordBatch | pa.Table, name: str) -> pa.Array | pa.ChunkedArray:
    column = batch.column(batch.schema.names.index(name))
    kind = column.type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        kind = pa.string()
    return column if kind == column.type else column.cast(kind)
