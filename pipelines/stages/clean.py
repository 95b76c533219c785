"""Repair what can be repaired, and set the rest aside with its reason."""

import json
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines.data.erased import ERASED
from pipelines.data.ids import distinct_readers, restore_id_types
from pipelines.data.library import Library, Rules, clean_library
from pipelines.data.parquet import read_ratings, write_table
from pipelines.data.quarantine import among, counted, without
from pipelines.errors import DataError
from pipelines.stages.run_context import RunContext, Summary


def run(ctx: RunContext) -> Summary:
    """
    Write clean ratings, books, readers and editions, and what was repaired.

    Raises:
        DataError: no rating is left, or a row was neither kept nor quarantined.
    """
    library, everyone = _cleaned(ctx)
    earlier = pa.concat_tables(_earlier_quarantines(ctx))
    accounts = {
        name: account(
            name,
            _rows_in(ctx, name),
            len(cleaned.table),
            cleaned.quarantine,
            earlier,
            erased=_erased(ctx, name),
        )
        for name, cleaned in library.cleaned.items()
    }
    refuse_if_empty(library, pa.concat_tables([library.quarantine, earlier]))
    ratings, books, readers = restore_id_types(library.ratings, library.catalogue, everyone)
    repairs = {name: cleaned.repairs for name, cleaned in library.cleaned.items()}
    doubts = {name: cleaned.doubts for name, cleaned in library.cleaned.items()}
    with ctx.stage("clean", inputs=["ingest", "validate"]) as draft:
        tables = {
            "ratings": ratings,
            "books": books,
            "readers": _described(readers, library),
            "editions": _typed(library.editions, books),
            "quarantine": library.quarantine,
        }
        for name, table in tables.items():
            write_table(table, draft.folder / f"{name}.parquet")
        (draft.folder / "repairs.json").write_text(
            json.dumps({"repairs": repairs, "doubts": doubts, "rows": accounts}, indent=2) + "\n"
        )
        draft.summary |= {
            "ratings": len(ratings),
            "books": len(books),
            "books_added": library.added,
            "readers": len(readers),
            "rows": accounts,
            "quarantined": pc.value_counts(library.quarantine["rule"]).to_pylist(),
            "repairs": repairs,
            "doubts": doubts,
        }
    return draft.summary


def account(
    name: str,
    rows_in: int,
    kept: int,
    quarantine: pa.Table,
    earlier: pa.Table,
    *,
    erased: int = 0,
) -> dict[str, int]:
    """
    Rows in = rows kept + rows quarantined + rows of erased readers, over all stages so far.

    Raises:
        DataError: they are not.
    """
    before = pc.sum(pc.equal(earlier["dataset"], name)).as_py() or 0
    quarantined = len(quarantine) + before
    if rows_in != kept + quarantined + erased:
        aside = f"{quarantined} quarantined" + (f", {erased} erased" if erased else "")
        raise DataError(f"of {rows_in} {name} {kept} were kept and {aside}")
    return {"in": rows_in, "kept": kept, "quarantined": quarantined, ERASED: erased}


def refuse_if_empty(library: Library, aside: pa.Table) -> None:
    """
    Stop where no rating is left.

    Raises:
        DataError: saying which rules the ratings broke.
    """
    if len(library.ratings) == 0:
        rows_in = pc.sum(pc.equal(aside["dataset"], "ratings")).as_py() or 0
        raise DataError(
            f"no rating is left of {rows_in:,}: {counted(aside, 'ratings')}; "
            "correct the input, or leave out the books file where its ids differ"
        )


def _rules(ctx: RunContext) -> Rules:
    found = ctx.summary("ingest")
    return Rules(
        scale=ctx.summary("validate")["rating_scale"],
        book_ids=found.get("book_ids", "opaque"),
        catalogue_is_complete=found.get("catalogue_is_complete", True),
        group_editions=ctx.settings.cleaning.group_editions,
        work_of=_known_works(ctx),
    )


def _known_works(ctx: RunContext) -> dict[str, str]:
    path = ctx.folder.reading("ingest") / "editions.parquet"
    if not path.exists():
        return {}
    return {pair["edition_id"]: pair["work_id"] for pair in pq.read_table(path).to_pylist()}


def _cleaned(ctx: RunContext) -> tuple[Library, pa.Array]:
    """From what was ingested and not set aside since; and every reader found, of those too."""
    ingest = ctx.folder.reading("ingest")
    aside = pq.read_table(ctx.folder.reading("validate") / "quarantine.parquet")
    books, readers = (
        without(pq.read_table(path), path.stem, aside) if path.exists() else None
        for path in (ingest / "books.parquet", ingest / "readers.parquet")
    )
    ratings = read_ratings(ingest / "ratings.parquet")
    dropped = among(ratings, "ratings", aside)
    library = clean_library(ratings, books, readers, _rules(ctx), aside=dropped)
    return library, distinct_readers(ratings)


def _rows_in(ctx: RunContext, name: str) -> int:
    rows: int = ctx.summary("ingest")["rows"][name]
    return rows


def _erased(ctx: RunContext, name: str) -> int:
    rows: int = ctx.summary("ingest").get(ERASED, {}).get(name, 0)
    return rows


def _earlier_quarantines(ctx: RunContext) -> Iterator[pa.Table]:
    for stage in ("ingest", "validate"):
        yield pq.read_table(ctx.folder.reading(stage) / "quarantine.parquet")


def _described(user_ids: pa.Array, library: Library) -> pa.Table:
    """Every reader of the input, with what is known of them."""
    table = pa.table({"user_id": user_ids})
    if "readers" not in library.cleaned:
        return table
    known = library.cleaned["readers"].table
    at = pc.index_in(user_ids.cast(pa.string()), known["user_id"].combine_chunks())
    for name in ("location", "age"):
        table = table.append_column(name, known[name].take(at))
    return table


def _typed(editions: pa.Table, books: pa.Table) -> pa.Table:
    """Ids of works as the catalogue has them."""
    return editions.cast(editions.schema.set(1, books.schema.field("book_id").with_name("work_id")))
