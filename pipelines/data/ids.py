"""Ids that leave the system as they came in: int64 where all of them are integers, else text."""

from typing import TypeAlias

import numpy as np
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

    A column of book ids is never integer in one table and text in the other. Of ratings, ids that
    are encoded stay so.
    """
    user_type = _common_type(ratings["user_id"], readers)
    book_type = _common_type(ratings["book_id"], books["book_id"])
    return (
        _cast(_cast(ratings, "user_id", user_type), "book_id", book_type),
        _cast(books, "book_id", book_type),
        readers.cast(user_type),
    )


def distinct_readers(ratings: pa.Table) -> pa.Array:
    """Every user_id of `ratings`, once."""
    return pc.drop_null(distinct(ratings["user_id"]))


def distinct(ids: IdColumn) -> pa.Array:
    """Every id once, in an order that the rows decide; plain, whether they were encoded or not."""
    if not pa.types.is_dictionary(ids.type):
        return pc.unique(ids)
    encoded = ids.combine_chunks()
    return encoded.dictionary.filter(_in_use(encoded))


def plain(ids: IdColumn) -> IdColumn:
    """Ids that may have been encoded, no longer so."""
    return ids.cast(ids.type.value_type) if pa.types.is_dictionary(ids.type) else ids


def _in_use(encoded: pa.DictionaryArray) -> pa.Array:
    """Which values of the dictionary some row has."""
    mask = np.zeros(len(encoded.dictionary), bool)
    mask[encoded.indices.drop_null().to_numpy()] = True
    return pa.array(mask)


def like(ids: pa.Array, kind: pa.DataType) -> pa.Array:
    """Plain ids, encoded if such is the kind of the column that they stand in for."""
    return ids.dictionary_encode() if pa.types.is_dictionary(kind) else ids


def _common_type(*columns: IdColumn) -> pa.DataType:
    types = {restore_ids(distinct(column)).type for column in columns if len(column)}
    return pa.int64() if types <= {pa.int64()} and types else pa.string()


def _cast(table: pa.Table, name: str, kind: pa.DataType) -> pa.Table:
    column = table[name]
    if pa.types.is_dictionary(column.type):
        column = _recoded(column.combine_chunks(), kind)
    else:
        column = column.cast(kind)
    at = table.schema.get_field_index(name)
    return table.set_column(at, pa.field(name, column.type), column)


def _recoded(encoded: pa.DictionaryArray, kind: pa.DataType) -> pa.DictionaryArray:
    """Of another kind, and encoded still: each distinct id is cast once."""
    try:
        values = encoded.dictionary.cast(kind)
    except pa.ArrowInvalid:  # of an id that is in no row any more
        values = pc.if_else(_in_use(encoded), encoded.dictionary, None).cast(kind)
        return values.take(encoded.indices).dictionary_encode()
    return pa.DictionaryArray.from_arrays(encoded.indices, values)
