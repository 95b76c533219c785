"""Repair what can be repaired, and set the rest aside with its reason."""

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines.data.cleaning import catalogue_from, clean_books, clean_ratings
from pipelines.data.ids import distinct_readers, restore_id_types
from pipelines.data.quarantine import counted
from pipelines.errors import DataError
from pipelines.stages.run_context import RunContext, Summary


def run(ctx: RunContext) -> Summary:
    """
    Write clean ratings, books and readers.

    Raises:
        DataError: no rating is left, or a row was neither kept nor quarantined.
    """
    valid = ctx.folder.reading("validate")
    raw_books = _table(valid / "books.parquet")
    books = clean_books(raw_books) if raw_books is not None else None
    ratings = clean_ratings(
        pq.read_table(valid / "ratings.parquet"),
        books=books.table if books else None,
        scale=ctx.summary("validate")["rating_scale"],
    )
    quarantine = pa.concat_tables(
        [ratings.quarantine, books.quarantine] if books else [ratings.quarantine]
    )
    _account_for_every_row(ctx, ratings.table.num_rows, quarantine)
    catalogue = books.table if books else catalogue_from(ratings.table)
    everyone = distinct_readers(pq.read_table(ctx.folder.reading("ingest") / "ratings.parquet"))
    typed = restore_id_types(ratings.table, catalogue, everyone)
    with ctx.stage("clean", inputs=["ingest", "validate"]) as draft:
        pq.write_table(typed[0], draft.folder / "ratings.parquet")
        pq.write_table(typed[1], draft.folder / "books.parquet")
        pq.write_table(pa.table({"user_id": typed[2]}), draft.folder / "readers.parquet")
        pq.write_table(quarantine, draft.folder / "quarantine.parquet")
        draft.summary |= {
            "ratings": typed[0].num_rows,
            "books": typed[1].num_rows,
            "readers": len(typed[2]),
            "example_reader": _example_reader(typed[0]),
            "quarantined": pc.value_counts(quarantine["rule"]).to_pylist(),
            "repairs": {"ratings": ratings.repairs, "books": books.repairs if books else {}},
        }
    return draft.summary


def _example_reader(ratings: pa.Table) -> int | str:
    """A reader to show recommendations for: the most active one, as found."""
    counts = pc.value_counts(ratings["user_id"])
    most = pc.index(counts.field("counts"), pc.max(counts.field("counts"))).as_py()
    reader: int | str = counts.field("values")[most].as_py()
    return reader


def _table(path: Path) -> pa.Table | None:
    return pq.read_table(path) if path.exists() else None


def _account_for_every_row(ctx: RunContext, kept: int, quarantine: pa.Table) -> None:
    """Rows in = rows kept + rows quarantined, over all stages so far."""
    aside = quarantine
    for stage in ("ingest", "validate"):
        earlier = pq.read_table(ctx.folder.reading(stage) / "quarantine.parquet")
        aside = pa.concat_tables([aside, earlier])
    quarantined = pc.sum(pc.equal(aside["dataset"], "ratings")).as_py() or 0
    ingest = ctx.summary("ingest")
    rows_in = ingest["ratings"] + ingest["ratings_rejected"]
    if rows_in != kept + quarantined:
        raise DataError(f"of {rows_in} ratings {kept} were kept and {quarantined} quarantined")
    if kept == 0:
        raise DataError(
            f"no rating is left of {rows_in:,}: {counted(aside, 'ratings')}; "
            "correct the input, or leave out the books file where its ids differ"
        )
