"""Store the batch in PostgreSQL, unless its profile was refused: then nothing is changed."""

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from sqlalchemy.orm import Session

from pipelines.errors import DataQualityError
from pipelines.stages import LOADED
from pipelines.stages.run_context import STORED, RunContext, Summary
from pipelines.storage.loads import Load, LoadRepository
from pipelines.storage.profiles import ProfileRepository
from pipelines.storage.repositories import LibraryRepository


def run(ctx: RunContext) -> Summary:
    """
    Upsert books, readers, ratings and editions, and record the load, in one transaction.

    From then on later batches are compared with this one. What came from PostgreSQL itself is not
    written back: it is there, and what was changed there meanwhile must stay so.

    Raises:
        DataQualityError: the gate refused the batch; the report says why.
    """
    profile = ctx.summary("profile")
    if not profile["accepted"]:
        raise DataQualityError("quality gate", profile["reasons"], profile["report"])
    with ctx.stage(LOADED, inputs=["clean", "profile"]) as draft, ctx.unit_of_work() as session:
        draft.summary["library"] = ctx.params.dataset
        library = LibraryRepository(session, ctx.params.dataset)
        library.take_turns()
        if ctx.params.source == STORED:
            draft.summary |= _unchanged(ctx, library)
        else:
            draft.summary |= _stored(ctx, library, session)
        ProfileRepository(session).mark_stored(ctx.params.dataset, ctx.run_id)
    return draft.summary


def _unchanged(ctx: RunContext, library: LibraryRepository) -> Summary:
    nothing = dict.fromkeys(
        ("added", "changed", "books_added", "books_changed", "readers_added"), 0
    )
    return nothing | {"total": library.counts()["ratings"], "load": ctx.summary("ingest")["load"]}


def _stored(ctx: RunContext, library: LibraryRepository, session: Session) -> Summary:
    told = _upserted(ctx, library)
    told["total"] = library.counts()["ratings"]
    load = LoadRepository(session, ctx.params.dataset).record(_load(ctx, told))
    return {**told, "load": load}


def _upserted(ctx: RunContext, library: LibraryRepository) -> dict[str, int]:
    frame = _clean(ctx, "books").to_pandas()
    books = library.upsert_books(frame.assign(year=frame["year"].astype("Int32")))
    readers = library.upsert_readers(_clean(ctx, "readers")["user_id"].to_pylist())
    ratings = library.upsert_ratings(_clean(ctx, "ratings").to_pandas())
    editions = _clean(ctx, "editions").rename_columns(["edition_id", "book_id"])
    others = pc.not_equal(editions["edition_id"], editions["book_id"].cast(pa.string()))
    library.upsert_editions(editions.filter(others).to_pandas())
    return {
        "added": ratings.added,
        "changed": ratings.changed,
        "books_added": books.added,
        "books_changed": books.changed,
        "readers_added": readers.added,
    }


def _load(ctx: RunContext, told: dict[str, int]) -> Load:
    found = ctx.summary("ingest")
    return Load(
        library=ctx.params.dataset,
        run_id=ctx.run_id,
        mode=ctx.params.mode,
        source=ctx.params.source,
        files=found["files"],
        rows=_rows(ctx),
        added=told["added"],
        changed=told["changed"],
        total=told["total"],
        newest_rated_at=pc.max(_clean(ctx, "ratings")["rated_at"]).as_py(),
        catalogue={
            "rating_scale": ctx.summary("validate")["rating_scale"],
            "is_complete": bool(found["books"] and found["catalogue_is_complete"]),
        },
    )


def _rows(ctx: RunContext) -> dict[str, dict[str, int]]:
    """By dataset, without the stored books that stood in for a catalogue."""
    rows: dict[str, dict[str, int]] = ctx.summary("clean")["rows"]
    stored = ctx.summary("ingest")["books_stored"]
    if not stored:
        return rows
    own = {name: n - stored * (name != "quarantined") for name, n in rows["books"].items()}
    return {**rows, "books": own}


def _clean(ctx: RunContext, name: str) -> pa.Table:
    return pq.read_table(ctx.folder.reading("clean") / f"{name}.parquet")
