"""Tables of the stages on disk: what is written in pieces and read back whole, quickly."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.data.schemas import RAW_RATINGS

ROW_GROUP_BYTES = 48 << 20
"""About a million ratings. Each row group has dictionaries of its own, which reading must unite."""
_IDS = ["user_id", "book_id"]


@contextmanager
def writing(path: Path, schema: pa.Schema) -> Iterator[Callable[[pa.Table], None]]:
    """
    What is called with one table after the other, and gathers them into large row groups.

    These are written by a thread of its own, one at a time. They have no statistics, which take a
    quarter of the time: a stage reads all of another's rows. What is encoded is so in memory alone.
    """
    gathered: list[pa.Table] = []
    under_way: list[Future[None]] = []
    with (
        pq.ParquetWriter(
            path, schema, write_statistics=False, store_schema=False, **_options(schema)
        ) as file,
        ThreadPoolExecutor(1, thread_name_prefix="parquet") as writer,
    ):

        def written(tables: list[pa.Table]) -> None:
            table = pa.concat_tables(tables).unify_dictionaries()
            file.write_table(table, row_group_size=max(len(table), 1))

        def flush() -> None:
            for last in under_way:
                last.result()
            under_way[:] = [writer.submit(written, gathered.copy())]
            gathered.clear()

        def write(table: pa.Table) -> None:
            gathered.append(table.cast(schema))
            if sum(part.nbytes for part in gathered) >= ROW_GROUP_BYTES:
                flush()

        yield write
        if gathered:
            flush()
        for last in under_way:
            last.result()


def write_table(table: pa.Table, path: Path) -> None:
    """A table that is there as a whole; what is encoded in memory is read back plain."""
    pq.write_table(table, path, store_schema=False, **_options(table.schema))


def _options(schema: pa.Schema) -> dict[str, Any]:
    """Row numbers as what they differ by; of other columns, where values repeat, a dictionary."""
    return {
        "use_dictionary": [name for name in schema.names if name not in ("row", "rated_at")],
        "column_encoding": {"row": "DELTA_BINARY_PACKED"} if "row" in schema.names else None,
        # With the usual 1 MiB, ids of a large library would become text from some row on.
        "dictionary_pagesize_limit": ROW_GROUP_BYTES,
    }


def read_ratings(path: Path) -> pa.Table:
    """
    Ratings as ingest wrote them, with ids as a dictionary and positions in it.

    Text would take several times the memory, and comparing it several times as long. Ids come in
    one piece, other columns in one a row group, as they were read. Columns are read two at a time:
    all at once, a third as much again would be needed on the way. `read_table` would give many
    small pieces, each with a copy of the dictionary of its row group.
    """

    def column(name: str) -> pa.Array | pa.ChunkedArray:
        file = pq.ParquetFile(path, read_dictionary=_IDS, pre_buffer=False)
        found = file.read(columns=[name]).unify_dictionaries()[name]
        return found.combine_chunks() if name in _IDS else found

    with ThreadPoolExecutor(2) as readers:
        return pa.table(list(readers.map(column, RAW_RATINGS.names)), RAW_RATINGS.names)
