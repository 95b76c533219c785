"""Store the batch in PostgreSQL, unless its profile was refused: then nothing is changed."""

import pyarrow as pa
import pyarrow.parquet as pq
from sqlalchemy.orm import Session

from pipelines.errors import DataQualityError
from pipelines.stages.erased_readers import refuse_erased
from pipelines.stages.run_context import RunContext, Summary
from pipelines.storage.profiles import ProfileRepository
from pipelines.storage.repositories import LibraryRepository


def run(ctx: RunContext) -> Summary:
    """
    Upsert books, readers and ratings, in one transaction.

    From then on later batches are compared with this one.

    Raises:
        DataQualityError: the gate refused the batch; the report says why.
        DataError: a reader of the batch was erased after it was read.
    """
    profile = ctx.summary("profile")
    if not profile["accepted"]:
        raise DataQualityError("quality gate", profile["reasons"], profile["report"])
    with ctx.stage("store", inputs=["clean", "profile"]) as draft, ctx.unit_of_work() as session:
        refuse_erased(ctx, session, _clean(ctx, "readers")["user_id"])
        draft.summary |= _upserted(ctx, session)
        ProfileRepository(session).mark_stored(ctx.params.dataset, ctx.run_id)
    return draft.summary


def _upserted(ctx: RunContext, session: Session) -> dict[str, int]:
    ratings, books, readers = (_clean(ctx, name) for name in ("ratings", "books", "readers"))
    library, frame = LibraryRepository(session, ctx.params.dataset), books.to_pandas()
    return {
        "books_changed": library.upsert_books(frame.assign(year=frame["year"].astype("Int32"))),
        "readers_added": library.upsert_readers(readers["user_id"].to_pylist()),
        "ratings_changed": library.upsert_ratings(ratings.to_pandas()),
    }


def _clean(ctx: RunContext, name: str) -> pa.Table:
    return pq.read_table(ctx.folder.reading("clean") / f"{name}.parquet")
