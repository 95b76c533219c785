"""Hold tables against their suites and write the report."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pandas as pd
import pyarrow as pa

from expectations.data_docs import publish
from expectations.evidence import evidence, restate
from expectations.great_expectations_context import load_great_expectations, new_context
from expectations.results import (
    ExpectationOutcome,
    SuiteResult,
    configuration,
    outcome,
    rows_by_rule,
)
from expectations.suites import Suite

if TYPE_CHECKING:
    from great_expectations.checkpoint.checkpoint import Checkpoint
    from great_expectations.core import ExpectationValidationResult, RunIdentifier
    from great_expectations.data_context.data_context.ephemeral_data_context import (
        EphemeralDataContext,
    )
    from great_expectations.expectations.expectation import Expectation

__all__ = ["ExpectationOutcome", "SuiteResult", "validate"]

RESULT_FORMAT = {
    "result_format": "COMPLETE",
    "partial_unexpected_count": 10,  # distinct values shown on a page
    "return_unexpected_index_query": False,
}
"""
Complete, because quarantine needs every breaking row. Rows are named by the frame's index rather
than by `unexpected_index_column_names`: plain integers, where that makes a dictionary of each row
and copies it several times (300,000 breaking rows: 1.5 s against 21 s).
"""


def validate(
    tables: Mapping[str, tuple[Suite, pd.DataFrame | pa.Table]],
    *,
    run_name: str,
    docs_folder: Path,
) -> dict[str, SuiteResult]:
    """
    Run every suite on its table and write Data Docs.

    Args:
        tables: By name, which is also the name of its page. Of an Arrow table only the rows that
            decide are handed to Great Expectations, so it may be large.
        run_name: Shown on the pages.
        docs_folder: Gets `index.html` and one page a table; made if missing.

    Raises:
        BrokenExpectationError: an expectation could not be evaluated; no report is written.
        DataDocsError: a page could not be rendered.
    """
    with TemporaryDirectory(prefix="bookrec-docs-") as site:
        context = new_context(Path(site))
        run = _run_identifier(run_name)
        results = {
            name: _run(context, name, suite, table, run) for name, (suite, table) in tables.items()
        }
        context.build_data_docs(build_index=False)
        publish(Path(site), docs_folder, results, run_name=run_name, run_time=run.run_time)
    return results


def _run_identifier(run_name: str) -> "RunIdentifier":
    load_great_expectations()
    from great_expectations.core import RunIdentifier

    # It becomes the name of a temporary folder.
    safe_name = re.sub(r"[^\w.:+-]", "_", run_name)
    return RunIdentifier(run_name=safe_name, run_time=datetime.now(UTC))


def _run(
    context: "EphemeralDataContext",
    name: str,
    suite: Suite,
    table: pd.DataFrame | pa.Table,
    run: "RunIdentifier",
) -> SuiteResult:
    columns = table.column_names if isinstance(table, pa.Table) else table.columns
    present = [column for column in suite.columns if column in columns]
    asked = _answerable(suite, present)
    frame = evidence(table, asked) if isinstance(table, pa.Table) else table
    checkpoint = _checkpoint(context, name, asked)
    checked = checkpoint.run(
        batch_parameters={"dataframe": _indexed_by_row(frame[present])},
        expectation_parameters={"last_num": max(len(table) - 1, 0)},
        run_id=run,
    )
    (validation,) = checked.run_results.values()
    if isinstance(table, pa.Table):
        restate(validation, table)  # in the store too, whence pages are rendered
    results = _in_order(validation.results, checkpoint)
    return SuiteResult(
        suite.name,
        tuple(outcome(suite.name, result) for result in results),
        rows_by_rule(results) if _names_its_rows(frame) else {},
        n_rows=len(table),
    )


def _answerable(suite: Suite, present: list[str]) -> list["Expectation"]:
    """Leave out what concerns a missing column: that it is missing says enough."""
    return [e for e in suite.expectations if _columns_of(e) <= set(present)]


def _columns_of(expectation: "Expectation") -> set[str]:
    column = getattr(expectation, "column", None)
    return set(getattr(expectation, "column_list", None) or ([column] if column else []))


def _indexed_by_row(frame: pd.DataFrame) -> pd.DataFrame:
    """With row numbers as labels, without a name: a named index is written out row by row."""
    if not _names_its_rows(frame):
        return frame.reset_index(drop=True)
    return frame.set_axis(pd.Index(frame["row"].to_numpy()), axis="index")


def _names_its_rows(frame: pd.DataFrame) -> bool:
    if "row" not in frame.columns:
        return False
    rows = frame["row"]
    return pd.api.types.is_integer_dtype(rows) and not rows.hasnans


def _checkpoint(
    context: "EphemeralDataContext", name: str, expectations: list["Expectation"]
) -> "Checkpoint":
    gx = load_great_expectations()
    batch = (
        context.data_sources.add_pandas(name)
        .add_dataframe_asset(name)
        .add_batch_definition_whole_dataframe(name)
    )
    # Copies: a context marks what is added to it, and a suite may be run again in another.
    suite = context.suites.add(
        gx.ExpectationSuite(name=name, expectations=[e.copy() for e in expectations])
    )
    definition = gx.ValidationDefinition(name=name, data=batch, suite=suite)
    context.validation_definitions.add(definition)
    return context.checkpoints.add(
        gx.Checkpoint(name=name, validation_definitions=[definition], result_format=RESULT_FORMAT)
    )


def _in_order(
    results: list["ExpectationValidationResult"], checkpoint: "Checkpoint"
) -> list["ExpectationValidationResult"]:
    """In the order of the suite; the library answers column by column."""
    (definition,) = checkpoint.validation_definitions
    order = {e.id: position for position, e in enumerate(definition.suite.expectations)}
    return sorted(results, key=lambda result: order[configuration(result).id])
