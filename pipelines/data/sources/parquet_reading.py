"""Parquet files: the wanted columns, typed as found."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.data.sources.raw_file import ChooseColumns, RawFile, file_bytes
from pipelines.errors import SourceError


def read_parquet(path: Path, choose: ChooseColumns) -> RawFile:
    """
    The wanted columns of a Parquet file; dictionaries are unfolded.

    Raises:
        SourceError: not readable, truncated, without rows, or holding text that is not UTF-8.
    """
    data = pa.BufferReader(file_bytes(path))
    try:
        file = pq.ParquetFile(data)
        header = file.schema_arrow.names
        chosen = choose(path, header)
        table = file.read(columns=[header[at] for at in chosen.values()])
        columns = pa.table({name: _plain(table, header[at]) for name, at in chosen.items()})
        columns.validate(full=True)  # Parquet readers take text on trust
    except (pa.ArrowException, OSError) as error:
        raise SourceError(f"{path} cannot be read as Parquet ({error}): write it anew") from error
    if not len(columns):
        raise SourceError(f"{path} has columns but no rows: nothing to read")
    return RawFile(
        path=path,
        columns=columns,
        found_as={name: header[at] for name, at in chosen.items()},
        rows=np.arange(1, len(columns) + 1),
    )


def _plain(table: pa.Table, name: str) -> pa.ChunkedArray:
    column = table.column(table.schema.names.index(name))
    kind = column.type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        kind = pa.string()
    return column if kind == column.type else column.cast(kind)
