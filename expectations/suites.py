"""
The suites: for what sources yield, and for what models see.

Column names are written out here on purpose, independently of the schemas of the pipeline: a test
keeps the two equal, so that neither can drift alone. An expectation whose breaking rows must be set
aside carries the name of the quarantine rule in its `meta`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from expectations.great_expectations_context import load_great_expectations

if TYPE_CHECKING:
    from great_expectations.expectations.expectation import Expectation

RATING_COLUMNS = ("user_id", "book_id", "rating", "rated_at", "row")
BOOK_COLUMNS = (
    "book_id",
    "title",
    "authors",
    "year",
    "language",
    "genres",
    "series",
    "isbn13",
    "description",
    "row",
)
FEATURE_COLUMNS = ("book_num", "book_id", "title", "n_words", "likes")

MOSTLY = 0.9
"""With fewer sound rows a column is not what it was taken for; else the others are set aside."""
EARLIEST_YEAR = -3000
"""Writing is not much older."""
EARLIEST_RATING = datetime(1971, 1, 1, tzinfo=UTC)
"""Before it lie only clocks that were never set: they count from 1970."""
CLOCK_SKEW = timedelta(days=1)
"""Clocks are wrong and time zones get lost: within a day of now is not the future."""
NOT_BLANK = r"\S"
ISBN13 = r"^97[89][0-9]{10}$"
LAST_NUM = {"$PARAMETER": "last_num"}
"""Filled in by the runner: the number of rows of the frame less one, but at least 0."""


@dataclass(frozen=True)
class Suite:
    """Expectations on one table, in order of importance, and the columns they rely on."""

    name: str
    columns: tuple[str, ...]
    expectations: tuple["Expectation", ...]


def ratings_suite(
    scale: tuple[float, float] | None, *, adds: bool = False, now: datetime | None = None
) -> Suite:
    """
    What raw ratings must look like.

    Args:
        scale: Lowest and highest rating; None where no rating is explicit.
        adds: Whether there are others to learn from besides these: then one will do.
        now: Aware; the present unless given.
    """
    gxe = load_great_expectations().expectations
    latest = (now or datetime.now(UTC)) + CLOCK_SKEW
    enough = (
        _at_least_two("user_id", "There are at least two readers to learn from"),
        _at_least_two("book_id", "There are at least two books to choose between"),
    )
    on_scale = [] if scale is None else [_on_scale(*scale)]
    return Suite(
        "ratings",
        RATING_COLUMNS,
        (
            *table_of(RATING_COLUMNS, "rating", empty="critical"),
            *_row_numbers(),
            *_named("user_id", "Every rating names its reader"),
            *_named("book_id", "Every rating names its book"),
            *on_scale,
            *(() if adds else enough),
            gxe.ExpectCompoundColumnsToBeUnique(
                column_list=["user_id", "book_id"],
                ignore_row_if="any_value_is_missing",
                severity="warning",
                description="A reader rates a book once (of several ratings the last one counts)",
            ),
            gxe.ExpectColumnValuesToBeBetween(
                column="rated_at",
                min_value=EARLIEST_RATING,
                max_value=latest,
                severity="warning",
                description="Ratings were given between 1971 and today",
            ),
        ),
    )


def books_suite(*, now: datetime | None = None) -> Suite:
    """What a raw catalogue must look like; a source without one is no reason to stop."""
    gxe = load_great_expectations().expectations
    next_year = (now or datetime.now(UTC)).year + 1
    return Suite(
        "books",
        BOOK_COLUMNS,
        (
            *table_of(BOOK_COLUMNS, "book", empty="warning"),
            *_row_numbers(),
            *_named("book_id", "Every book has an id"),
            gxe.ExpectColumnValuesToBeUnique(
                column="book_id",
                severity="warning",
                description="No two books share an id (of several the last one counts)",
            ),
            gxe.ExpectColumnValuesToNotBeNull(
                column="title",
                mostly=MOSTLY,
                severity="warning",
                description="At least 90 % of the books have a title",
            ),
            gxe.ExpectColumnValuesToBeBetween(
                column="year",
                min_value=EARLIEST_YEAR,
                max_value=next_year,
                mostly=0.99,
                severity="warning",
                description=f"Years lie between {EARLIEST_YEAR} and {next_year}",
            ),
            gxe.ExpectColumnValuesToMatchRegex(
                column="isbn13",
                regex=ISBN13,
                mostly=0.99,
                severity="warning",
                description="An ISBN-13, where there is one, is 978 or 979 and ten more digits",
            ),
        ),
    )


def features_suite() -> Suite:
    """What models see, one row a book: dense positions, document lengths and like counts."""
    gxe = load_great_expectations().expectations
    return Suite(
        "features",
        FEATURE_COLUMNS,
        (
            *table_of(FEATURE_COLUMNS, "book", empty="critical"),
            *unique_key("book_num", "No two books share a position"),
            gxe.ExpectColumnValuesToBeBetween(
                column="book_num",
                min_value=0,
                max_value=LAST_NUM,
                severity="critical",
                description="Positions run from 0 to the number of books less one, without a gap",
            ),
            *unique_key("book_id", "No two books share an id"),
            gxe.ExpectColumnValuesToBeBetween(
                column="likes",
                min_value=0,
                severity="critical",
                description="No book has fewer than zero likes",
            ),
            gxe.ExpectColumnMaxToBeBetween(
                column="likes",
                min_value=1,
                severity="critical",
                description="At least one book is liked by somebody",
            ),
            gxe.ExpectColumnValuesToBeBetween(
                column="n_words",
                min_value=1,
                mostly=0.5,
                severity="warning",
                description="At least half of the books have words to compare them by",
            ),
        ),
    )


def table_of(columns: Sequence[str], thing: str, *, empty: str) -> tuple["Expectation", ...]:
    gxe = load_great_expectations().expectations
    return (
        gxe.ExpectTableColumnsToMatchSet(
            column_set=list(columns),
            exact_match=False,
            severity="critical",
            description=f"The table has the columns {', '.join(columns)}",
        ),
        gxe.ExpectTableRowCountToBeBetween(
            min_value=1, severity=empty, description=f"There is at least one {thing}"
        ),
    )


def _row_numbers() -> tuple["Expectation", ...]:
    return unique_key("row", "Row numbers, by which quarantine names a row, are distinct")


def unique_key(column: str, description: str) -> tuple["Expectation", ...]:
    gxe = load_great_expectations().expectations
    complete = f"No {column} is missing"
    return (
        gxe.ExpectColumnValuesToNotBeNull(column=column, severity="critical", description=complete),
        gxe.ExpectColumnValuesToBeUnique(
            column=column, severity="critical", description=description
        ),
    )


def _named(column: str, description: str) -> tuple["Expectation", ...]:
    """Rows without this id are set aside; null and blank are the same defect, found separately."""
    gxe = load_great_expectations().expectations
    meta = {"rule": f"missing_{column}"}
    return (
        gxe.ExpectColumnValuesToNotBeNull(
            column=column, mostly=MOSTLY, severity="critical", meta=meta, description=description
        ),
        gxe.ExpectColumnValuesToMatchRegex(
            column=column,
            regex=NOT_BLANK,
            mostly=MOSTLY,
            severity="critical",
            meta=meta,
            description=f"{description}, not just with blanks",
        ),
    )


def _on_scale(low: float, high: float) -> "Expectation":
    return load_great_expectations().expectations.ExpectColumnValuesToBeBetween(
        column="rating",
        min_value=low,
        max_value=high,
        mostly=MOSTLY,
        severity="critical",
        meta={"rule": "rating_out_of_scale"},
        description=f"Ratings lie between {low:g} and {high:g}",
    )


def _at_least_two(column: str, description: str) -> "Expectation":
    return load_great_expectations().expectations.ExpectColumnUniqueValueCountToBeBetween(
        column=column, min_value=2, severity="critical", description=description
    )
