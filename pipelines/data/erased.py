"""Rows of readers who were erased, in batches as a source yields them: dropped, without a copy."""

import json
import re
from collections.abc import Callable, Iterator

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.data.sources.base import Batch
from pipelines.data.sources.columns import is_reader_column

ERASED = "erased_reader"
"""The name under which such rows are counted."""

IsErased = Callable[[str], bool]

_BETWEEN_VALUES = re.compile(r"[,;|\t]")


def nobody(_: str) -> bool:
    """Nobody was erased."""
    return False


def without_erased(batch: Batch, is_erased: IsErased) -> tuple[Batch, int]:
    """The batch without rows of readers who were erased, and how many those were."""
    if is_erased is nobody:
        return batch, 0
    kept = batch.kept
    if "user_id" in kept.column_names:
        kept = _encoded_anew(kept.filter(pc.invert(rows_of(kept["user_id"], is_erased))))
    mentions = [
        dataset != "books" and any(map(is_erased, reader_ids(original)))
        for dataset, original in zip(
            batch.rejected["dataset"].to_pylist(),
            batch.rejected["original"].to_pylist(),
            strict=True,
        )
    ]
    rejected = batch.rejected.filter(pa.array([not m for m in mentions], pa.bool_()))
    dropped = len(batch.kept) - len(kept) + sum(mentions)
    return Batch(kept, rejected, batch.repairs), dropped


def rows_of(column: pa.ChunkedArray, is_chosen: IsErased) -> pa.ChunkedArray:
    """A mask of the rows of a column of ids whose reader is chosen; each id is looked at once."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    distinct = pc.unique(column).drop_null()
    chosen = [id_ for id_ in distinct.to_pylist() if is_chosen(str(id_))]
    return pc.is_in(column, value_set=pa.array(chosen, column.type))


def _encoded_anew(table: pa.Table) -> pa.Table:
    """Without what dictionaries still hold of rows that are gone: it would be written too."""
    for at, field in enumerate(table.schema):
        if pa.types.is_dictionary(field.type):
            anew = table[at].cast(field.type.value_type).cast(field.type)
            table = table.set_column(at, field, anew)
    return table


def reader_ids(original: str) -> Iterator[str]:
    """
    Whom a row in quarantine may be about.

    Of a row that was parsed that is the value of its column of readers; of a line that was not,
    every value it seems to hold: rather one row too many is dropped than a reader kept.
    """
    try:
        row = json.loads(original)
    except ValueError:
        row = None
    if isinstance(row, dict):
        named = [value for name, value in row.items() if is_reader_column(name)]
        yield from (str(value).strip() for value in named or row.values())
    else:
        yield from (value.strip(" \"'\r\n") for value in _BETWEEN_VALUES.split(original))
