"""Store the batch in PostgreSQL, unless its profile was refused: then nothing is changed."""

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from sqlalchemy.orm import Session

from pipelines.errors import DataError, DataQualityError
from pipelines.run_params import STORED
from pipelines.stages import LOADED
from pipelines.stages.erased_readers import refuse_erased
from pipelines.stages.run_context import RunContext, Summary
from pipelines.storage.loads import Load, LoadRepository
from pipelines.storage.profiles import ProfileRepository
from pipelines.storage.repositories import LibraryRepository
from pipelines.storage.tables import LoadRow


def run(ctx: RunContext) -> Summary:
    """
    Upsert books, readers, ratings and editions, and record the load, in one transaction.

    From then on later batches are compared with this one. What came from PostgreSQL itself is not
    written back: it is there, and what was changed there meanwhile must stay so.

    Raises:
        DataQualityError: the gate refused the batch; the report says why.
        DataError: a reader of the batch was erased after it was read, or a batch that was loaded
            meanwhile may have changed the catalogue that this one was cleaned with.
    """
    profile = ctx.summary("profile")
    if not profile["accepted"]:
        raise DataQualityError("quality gate", profile["reasons"], profile["report"])
    with ctx.stage(LOADED, inputs=["clean", "profile"]) as draft, ctx.unit_of_work() as session:
        refuse_erased(ctx, session, _clean(ctx, "readers")["user_id"])
        draft.summary["library"] = ctx.params.dataset
        library = LibraryRepository(session, ctx.params.dataset)
        if ctx.params.source == STORED:
            draft.summary |= _unchanged(ctx, library)
        else:
            draft.summary |= _stored(ctx, library, session)
        ProfileRepository(session).mark_stored(ctx.params.dataset, ctx.run_id)
    return draft.summary


def _unchanged(ctx: RunContext, library: LibraryRepository) -> Summary:
    nothing = dict.fromkeys(
        ("added", "changed", "moved", "books_added", "books_changed", "readers_added"), 0
    )
    return nothing | {"total": library.counts()["ratings"], "load": ctx.summary("ingest")["load"]}


def _stored(ctx: RunContext, library: LibraryRepository, session: Session) -> Summary:
    loads = LoadRepository(session, ctx.params.dataset)
    last = loads.last(but=ctx.run_id)
    if ctx.params.mode == "addition" and last and last.number > ctx.summary("ingest")["load"]:
        raise DataError(
            f"another batch was loaded into {ctx.params.dataset} after this one was read: "
            "start a new run"
        )
    told = _upserted(ctx, library)
    told["total"] = library.counts()["ratings"]
    return {**told, "load": loads.record(_load(ctx, told, last))}


def _upserted(ctx: RunContext, library: LibraryRepository) -> dict[str, int]:
    frame = _clean(ctx, "books").to_pandas()
    books = library.upsert_books(frame.assign(year=frame["year"].astype("Int32")))
    readers = library.upsert_readers(_clean(ctx, "readers")["user_id"].to_pylist())
    ratings = library.upsert_ratings(_clean(ctx, "ratings").to_pandas())
    editions = _clean(ctx, "editions").rename_columns(["edition_id", "book_id"])
    others = pc.not_equal(editions["edition_id"], editions["book_id"].cast(pa.string()))
    moved = library.regroup(editions.filter(others).to_pandas(), frame["book_id"].tolist())
    return {
        "added": ratings.added,
        "changed": ratings.changed,
        "moved": moved,
        "books_added": books.added,
        "books_changed": books.changed,
        "readers_added": readers.added,
    }


def _load(ctx: RunContext, told: dict[str, int], last: LoadRow | None) -> Load:
    found = ctx.summary("ingest")
    begins = told["added"] == told["total"]
    order = found["order"] if begins else last.catalogue["order"] if last else "none"
    return Load(
        library=ctx.params.dataset,
        run_id=ctx.run_id,
        mode=ctx.params.mode,
        source=ctx.params.source,
        files=found["files"],
        rows=ctx.summary("clean")["rows"]["ratings"],
        added=told["added"],
        changed=told["changed"] + told["moved"],
        total=told["total"],
        newest_rated_at=pc.max(_clean(ctx, "ratings")["rated_at"]).as_py(),
        catalogue={
            "rating_scale": ctx.summary("validate")["rating_scale"],
            "is_complete": bool(found["books"] and found["catalogue_is_complete"]),
            "order": order,
        },
    )


def _clean(ctx: RunContext, name: str) -> pa.Table:
    return pq.read_table(ctx.folder.reading("clean") / f"{name}.parquet")
