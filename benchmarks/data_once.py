"""
Bring one CSV of ratings to Parquet, or a million ratings into PostgreSQL, once, in this process.

    python -m benchmarks.data_once stages --data ratings.csv --out out.json
"""

import argparse
import io
import json
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
from sqlalchemy import text
from sqlalchemy.orm import Session

from benchmarks.fit_once import give_back_memory, peak_bytes
from benchmarks.runs import temporary_run
from benchmarks.synthetic import write_ratings
from pipelines.stages.pipeline import execute
from pipelines.stages.run_context import RunContext
from pipelines.storage.repositories import LibraryRepository

STAGES = ("ingest", "validate", "clean")
WARM_UP_RATINGS = 5_000
"""So few that reading them only does the imports and starts the thread pools."""
COPY = "copy ratings (source, user_id, book_id, rating, rated_at) from stdin with (format csv)"

Told = dict[str, float]


def bare(data: Path, warm_up: Path) -> Told:
    """Nothing but pyarrow: as little as reading and writing can cost."""
    with tempfile.TemporaryDirectory(prefix="bookrec-benchmark-") as folder:
        target = Path(folder) / "ratings.parquet"
        pq.write_table(pa_csv.read_csv(warm_up), target)
        give_back_memory()
        started = time.perf_counter()
        pq.write_table(pa_csv.read_csv(data), target)
        seconds = time.perf_counter() - started
    return {"seconds": seconds, "peak_mib": peak_bytes() / 2**20}


def stages(data: Path, warm_up: Path) -> Told:
    """The stages from CSV to validated clean Parquet: their own seconds, servers not counted."""
    with temporary_run("interactions", warm_up) as ctx:
        _seconds_by_stage(ctx)
        give_back_memory()
        params = ctx.params.model_copy(update={"data_path": str(data.absolute())})
        run = replace(ctx, run_id="measured", params=params)
        told = _seconds_by_stage(run)
        rows = run.summary("clean")["rows"]["ratings"]
    assert rows["in"] == rows["kept"] + rows["quarantined"]
    return {"seconds": sum(told.values()), "peak_mib": peak_bytes() / 2**20, **told}


def _seconds_by_stage(ctx: RunContext) -> Told:
    return {stage: execute(stage, ctx)["seconds"] for stage in STAGES}


def loads(data: Path, _: Path) -> Told:
    """Plain COPY against an upsert into an empty library, and the same upsert again."""
    ratings = _loaded(data)
    as_text = _text(ratings.assign(source="copied"))
    with temporary_run("interactions", data) as ctx:
        for source in ("copied", "upserted"):
            with ctx.unit_of_work() as session:
                _add_what_ratings_refer_to(LibraryRepository(session, source), ratings)
        return {
            "copy": _timed(ctx, lambda session: _copy(session, as_text)),
            "upsert": _timed(ctx, lambda session: _upsert(session, ratings)),
            "upsert_again": _timed(ctx, lambda session: _upsert(session, ratings)),
        }


def _loaded(data: Path) -> pd.DataFrame:
    """As the stage `clean` would hand them over: one row a pair, times in UTC."""
    table = pa_csv.read_csv(data).rename_columns(["user_id", "book_id", "rating", "rated_at"])
    table = table.set_column(3, "rated_at", table["rated_at"].cast(pa.timestamp("s", "UTC")))
    return table.to_pandas().drop_duplicates(["user_id", "book_id"])


def _add_what_ratings_refer_to(library: LibraryRepository, ratings: pd.DataFrame) -> None:
    ids = ratings["book_id"].unique()
    unknown = dict.fromkeys(("year", "language", "series", "isbn13", "description"))
    books = pd.DataFrame({"book_id": ids, "title": "A book", **unknown})
    library.upsert_books(books.assign(authors=[[]] * len(ids), genres=[[]] * len(ids)))
    library.upsert_readers(ratings["user_id"].unique().tolist())


def _timed(ctx: RunContext, load: Callable[[Session], None]) -> float:
    """Seconds of one transaction, its commit included."""
    with ctx.unit_of_work() as session:
        session.execute(text("analyze ratings"))
    started = time.perf_counter()
    with ctx.unit_of_work() as session:
        load(session)
    return time.perf_counter() - started


def _text(ratings: pd.DataFrame) -> str:
    columns = ["source", "user_id", "book_id", "rating", "rated_at"]
    return ratings[columns].to_csv(index=False, header=False)


def _copy(session: Session, as_text: str) -> None:
    """From text made beforehand, which the upsert has to write first: the harder match."""
    with closing(session.connection().connection.cursor()) as cursor:
        cursor.copy_expert(COPY, io.StringIO(as_text))


def _upsert(session: Session, ratings: pd.DataFrame) -> None:
    LibraryRepository(session, "upserted").upsert_ratings(ratings)


CONTESTS: dict[str, Callable[[Path, Path], Told]] = {"bare": bare, "stages": stages, "loads": loads}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("contest", choices=CONTESTS)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bookrec-benchmark-") as folder:
        warm_up = Path(folder) / "ratings.csv"
        write_ratings(WARM_UP_RATINGS, warm_up)
        told = CONTESTS[arguments.contest](arguments.data, warm_up)
    arguments.out.write_text(json.dumps(told))


if __name__ == "__main__":
    main()
