"""A batch that adds to a stored library: what it leaves out is taken from there."""

from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.data.schemas import BOOKS
from pipelines.data.sources import create_source
from pipelines.data.sources.base import Batch, Batches, SourceTables
from pipelines.run_params import STORED
from pipelines.stages.run_context import RunContext
from pipelines.storage.loads import LoadRepository


def on_stored_catalogue(ctx: RunContext, tables: SourceTables) -> SourceTables:
    """
    The batch with the library's catalogue behind its own.

    Ratings may then be of any book of the library, under the id of any of its editions; what the
    batch itself says of a book counts more. Into an empty library the batch goes as it is.
    """
    with ctx.unit_of_work() as session:
        if LoadRepository(session, ctx.params.dataset).last() is None:
            return tables
    stored = create_source(STORED, {"library": ctx.params.dataset}).read(ctx.database_url)
    own = list(tables.books or ())
    return replace(
        tables,
        books=[*own, Batch(_behind(own, stored.books or ()))],
        rating_scale=tables.rating_scale or stored.rating_scale,
        catalogue_is_complete=stored.catalogue_is_complete,
        editions=stored.editions,
    )


def _behind(own: list[Batch], stored: Batches) -> pa.Table:
    """The stored books that the batch says nothing of, numbered on from its own rows."""
    ours = pa.concat_tables([BOOKS.empty_table(), *(batch.kept for batch in own)])
    theirs = pa.concat_tables([BOOKS.empty_table(), *(batch.kept for batch in stored)])
    others = pc.invert(pc.is_in(theirs["book_id"], value_set=ours["book_id"].combine_chunks()))
    rows = [batch.kept["row"] for batch in own] + [batch.rejected["row"] for batch in own]
    last = max((pc.max(numbers).as_py() or 0 for numbers in rows), default=0)
    kept = theirs.filter(others)
    numbers = pa.array(range(last + 1, last + 1 + len(kept)), pa.int64())
    return kept.set_column(BOOKS.get_field_index("row"), BOOKS.field("row"), numbers)
