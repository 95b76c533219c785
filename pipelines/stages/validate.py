"""Hold the raw tables against their expectations; a batch that breaks a critical one ends here."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from expectations.runner import SuiteResult
from expectations.runner import validate as hold_against
from expectations.suites import books_suite, ratings_suite
from pipelines.data.parquet import read_ratings
from pipelines.data.quarantine import set_aside
from pipelines.data.rating_scale import infer_scale
from pipelines.errors import DataQualityError
from pipelines.stages.run_context import RunContext, Summary

DOCS = "data_docs/raw"


def run(ctx: RunContext) -> Summary:
    """
    Write the quarantine and the Data Docs pages; what may pass stays where ingest wrote it.

    Raises:
        DataQualityError: a critical expectation failed; the page says which.
    """
    ingest = ctx.folder.reading("ingest")
    tables = {
        name: read(ingest / f"{name}.parquet")
        for name, read in (("ratings", read_ratings), ("books", pq.read_table))
        if (ingest / f"{name}.parquet").exists()
    }
    scale = rating_scale(tables["ratings"], ctx.summary("ingest")["rating_scale"])
    results, report = _examine(ctx, tables, scale)
    refuse_if_critical(results, report)
    with ctx.stage("validate", inputs=["ingest"]) as draft:
        quarantine = []
        for name, table in tables.items():
            checks = {
                rule: np.asarray(pc.is_in(table["row"], value_set=pa.array(rows, pa.int64())))
                for rule, rows in results[name].breaking_rows.items()
            }
            quarantine.append(set_aside(table, name, checks))
        merged = pa.concat_tables(quarantine)
        pq.write_table(merged, draft.folder / "quarantine.parquet")
        draft.summary |= {
            "rating_scale": scale,
            "quarantined": pc.value_counts(merged["rule"]).to_pylist(),
            "warnings": [o.message for r in results.values() for o in r.warnings],
            "report": report,
        }
    return draft.summary


def rating_scale(
    ratings: pa.Table, known: tuple[float, float] | None
) -> tuple[float, float] | None:
    """The scale of explicit ratings: the source's own, else inferred; None where there are none."""
    explicit = ratings["rating"].drop_null()
    if len(explicit) == 0:
        return None
    return (known[0], known[1]) if known else infer_scale(explicit)


def _examine(
    ctx: RunContext, tables: Mapping[str, pa.Table], scale: tuple[float, float] | None
) -> tuple[dict[str, SuiteResult], str]:
    ratings = ratings_suite(scale, adds=ctx.params.mode == "addition")
    suites = {"ratings": ratings, "books": books_suite()}
    asked = {name: (suites[name], table) for name, table in tables.items()}
    # Published before the verdict: a refused batch is the one whose report will be read.
    with ctx.stage(DOCS, inputs=["ingest"]) as docs:
        results = hold_against(asked, run_name=ctx.run_id, docs_folder=docs.folder)
    return results, str(Path(ctx.folder.path) / DOCS / "index.html")


def refuse_if_critical(results: Mapping[str, SuiteResult], report: str) -> None:
    """
    Stop where a critical expectation failed.

    Raises:
        DataQualityError: naming the suite, the expectations and the report.
    """
    for name, result in results.items():
        if result.critical_failures:
            raise DataQualityError(name, [o.message for o in result.critical_failures], report)
