"""Ids that leave the system as they came in: int64 where all of them are integers, else text."""

from typing import TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

_CANONICAL = r"^(0|-?[1-9][0-9]{0,18})$"
IdColumn: TypeAlias = pa.Array | pa.ChunkedArray


def restore_ids(column: IdColumn) -> pa.Array:
    """The ids as int64 if every one is a canonical integer that fits, else as text."""
    ids = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if pa.types.is_int64(ids.type):
        return ids
    restored = ids.cast(pa.string())
    if not pc.all(pc.match_substring_regex(restored, _CANONICAL), min_count=0).as_py():
        return restored
    try:
        return restored.cast(pa.int64())
    except pa.ArrowInvalid:  # nineteen digits that are too many
        return restored


def restore_id_types(
    ratings: pa.Table, books: pa.Table, readers: pa.Array
) -> tuple[pa.Table, pa.Table, pa.Array]:
    """
    Restore the types of reader and book ids, each kind in one decision over all three.

    A column of book ids is never integer in one table and text in the other.
    """
    user_type = _common_type(ratings["user_id"], readers)
    book_type = _common_type(ratings["book_id"], books["book_id"])
    return (
        _cast(_cast(ratings, "user_id", user_type), "book_id", book_type),
        _cast(books, "book_id", book_type),
        readers.cast(user_type),
    )


def distinct_readers(ratings: pa.Table) -> pa.Array:
    """Every user_id of `ratings`, in order of first appearance."""
    ids = pc.unique(ratings["user_id"])
    return pc.drop_null(ids)


def _common_type(*columns: IdColumn) -> pa.DataType:
    types = {restore_ids(column).type for column in columns if len(column)}
    return pa.int64() if types <= {pa.int64()} and types else pa.string()


def _cast(table: pa.Table, name: str, kind: pa.DataType) -> pa.Table:
    at = table.schema.get_field_index(name)
    return table.set_column(at, pa.field(name, kind), table[name].cast(kind))
