"""Repair what can be repaired, and set the rest aside with its reason."""

import json
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines.data.ids import distinct_readers, restore_id_types
from pipelines.data.library import Library, Rules, clean_library
from pipelines.data.quarantine import counted
from pipelines.errors import DataError
from pipelines.stages.run_context import RunContext, Summary


def run(ctx: RunContext) -> Summary:
    """
    Write clean ratings, books, readers and editions, and what was repaired.

    Raises:
        DataError: no rating is left, or a row was neither kept nor quarantined.
    """
    raw = {name: _raw(ctx, name) for name in ("ratings", "books", "readers")}
    library = clean_library(raw["ratings"], raw["books"], raw["readers"], _rules(ctx))
    earlier = pa.concat_tables(_earlier_quarantines(ctx))
    accounts = {
        name: account(name, _rows_in(ctx, name), len(cleaned.table), cleaned.quarantine, earlier)
        for name, cleaned in library.cleaned.items()
    }
    refuse_if_empty(library, pa.concat_tables([library.quarantine, earlier]))
    everyone = distinct_readers(pq.read_table(ctx.folder.reading("ingest") / "ratings.parquet"))
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
            pq.write_table(table, draft.folder / f"{name}.parquet")
        (draft.folder / "repairs.json").write_text(
            json.dumps({"repairs": repairs, "doubts": doubts, "rows": accounts}, indent=2) + "\n"
        )
        draft.summary |= {
            "ratings": len(ratings),
            "books": len(books),
            "books_added": library.added,
            "readers": len(readers),
            "example_reader": _example_reader(ratings),
            "rows": accounts,
            "quarantined": pc.value_counts(library.quarantine["rule"]).to_pylist(),
            "repairs": repairs,
            "doubts": doubts,
        }
    return draft.summary


def account(
    name: str, rows_in: int, kept: int, quarantine: pa.Table, earlier: pa.Table
) -> dict[str, int]:
    """
    Rows in = rows kept + rows quarantined, over all stages so far.

    Raises:
        DataError: they are not.
    """
    before = pc.sum(pc.equal(earlier["dataset"], name)).as_py() or 0
    quarantined = len(quarantine) + before
    if rows_in != kept + quarantined:
        raise DataError(f"of {rows_in} {name} {kept} were kept and {quarantined} quarantined")
    return {"in": rows_in, "kept": kept, "quarantined": quarantined}


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


def _known_works(ctx: RunContext) -> dict[str, str] | None:
    path = ctx.folder.reading("ingest") / "editions.parquet"
    if not path.exists():
        return None
    return {pair["edition_id"]: pair["work_id"] for pair in pq.read_table(path).to_pylist()}


def _raw(ctx: RunContext, name: str) -> pa.Table | None:
    """As validated; what validation does not look at, as ingested."""
    for stage in ("validate", "ingest"):
        path = ctx.folder.reading(stage) / f"{name}.parquet"
        if path.exists():
            return pq.read_table(path)
    return None


def _rows_in(ctx: RunContext, name: str) -> int:
    ingest = ctx.summary("ingest")
    rows: int = ingest[name] + ingest.get(f"{name}_rejected", 0)
    return rows


def _earlier_quarantines(ctx: RunContext) -> Iterator[pa.Table]:
    for stage in ("ingest", "validate"):
        yield pq.read_table(ctx.folder.reading(stage) / "quarantine.parquet")


def _example_reader(ratings: pa.Table) -> int | str:
    """A reader to show recommendations for: the most active one, as found."""
    counts = pc.value_counts(ratings["user_id"])
    most = pc.index(counts.field("counts"), pc.max(counts.field("counts"))).as_py()
    reader: int | str = counts.field("values")[most].as_py()
    return reader


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
