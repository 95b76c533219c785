"""
The tables that travel between stages, as Arrow schemas.

Raw tables are what a source adapter yields: ids are text exactly as found. Clean tables are what
models are trained on: ids are int64 where every id of the column is a canonical integer, else text,
so that ids leave the system as they came in. Rows stand in source order; `row` is the 1-based
number of the data row in its file and is how quarantine names a row.
"""

import pyarrow as pa

RATING_FIELDS = [
    pa.field("rating", pa.float64()),  # null: an implicit positive
    pa.field("rated_at", pa.timestamp("us", tz="UTC")),  # null: unknown
    pa.field("row", pa.int64(), nullable=False),
]

RAW_RATINGS = pa.schema(
    [pa.field("user_id", pa.string()), pa.field("book_id", pa.string()), *RATING_FIELDS]
)

ENCODED = pa.dictionary(pa.int32(), pa.string())
"""Text that repeats: each distinct one, and where it stands among them."""

ENCODED_RATINGS = pa.schema(
    [pa.field("user_id", ENCODED), pa.field("book_id", ENCODED), *RATING_FIELDS]
)
"""RAW_RATINGS, as they are kept in memory."""

BOOKS = pa.schema(
    [
        pa.field("book_id", pa.string()),
        pa.field("title", pa.string()),
        pa.field("authors", pa.list_(pa.string())),
        pa.field("year", pa.int32()),  # negative: before the common era
        pa.field("language", pa.string()),
        pa.field("genres", pa.list_(pa.string())),  # most telling first
        pa.field("series", pa.string()),
        pa.field("isbn13", pa.string()),
        pa.field("description", pa.string()),
        pa.field("row", pa.int64(), nullable=False),
    ]
)

UNLISTED, UNTITLED = "Book", "Untitled book"
"""Before its id the title of a book that no catalogue lists, and of one listed without a title."""

READERS = pa.schema(
    [
        pa.field("user_id", pa.string()),
        pa.field("location", pa.string()),
        pa.field("age", pa.int32()),  # in years, as found: may be absurd
        pa.field("row", pa.int64(), nullable=False),
    ]
)

QUARANTINE = pa.schema(
    [
        pa.field("dataset", pa.string(), nullable=False),  # "ratings", "books" or "readers"
        pa.field("row", pa.int64(), nullable=False),
        pa.field("rule", pa.string(), nullable=False),  # e.g. "rating_out_of_scale"
        pa.field("original", pa.string(), nullable=False),  # the row as found, as text
    ]
)


def empty(schema: pa.Schema) -> pa.Table:
    """A table of `schema` without rows."""
    return schema.empty_table()
