"""Sources in tests: everything one yields, in memory."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from pipelines.data.schemas import BOOKS, ENCODED_RATINGS, QUARANTINE, RAW_RATINGS, READERS
from pipelines.data.sources import Batch, SourceTables, create_source


@dataclass(frozen=True)
class Everything:
    """What a source holds, read to its end."""

    source: SourceTables
    ratings: pa.Table
    books: pa.Table | None
    readers: pa.Table | None
    rejected: pa.Table
    repairs: dict[str, int]


def read_all(name: str, location: Path | str | None, **options: str) -> Everything:
    """Read all of a source into memory."""
    source = create_source(name, options).read(None if location is None else str(location))
    streams = {"ratings": source.ratings, "books": source.books, "readers": source.readers}
    batches = {name: None if each is None else list(each) for name, each in streams.items()}
    found = [batch for each in batches.values() for batch in each or ()]
    return Everything(
        source,
        _together(batches["ratings"] or [], RAW_RATINGS),
        None if batches["books"] is None else _together(batches["books"], BOOKS),
        None if batches["readers"] is None else _together(batches["readers"], READERS),
        pa.concat_tables([QUARANTINE.empty_table(), *(batch.rejected for batch in found)]),
        {name: n for batch in found for name, n in batch.repairs.items()},
    )


def _together(batches: Iterable[Batch], schema: pa.Schema) -> pa.Table:
    tables = [batch.kept for batch in batches]
    assert all(table.schema in (schema, ENCODED_RATINGS) for table in tables)
    return pa.concat_tables([schema.empty_table(), *(table.cast(schema) for table in tables)])
