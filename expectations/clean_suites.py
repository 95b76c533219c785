"""The suites for what is left after cleaning, held against the batch before where there is one."""

import importlib
import math
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from expectations.great_expectations_context import load_great_expectations
from expectations.suites import BOOK_COLUMNS, RATING_COLUMNS, Suite, table_of, unique_key

if TYPE_CHECKING:
    from great_expectations.expectations.expectation import Expectation

MEAN_SHIFT = 0.1
"""Of the scale: by so much the mean rating may differ from that of the batch before."""
STEP = 0.5
"""Scales of ratings have whole or half steps."""


@dataclass(frozen=True)
class Before:
    """What a batch is held against."""

    ratings: int
    books: int
    """Both 0 where fewer rows mean no loss: a batch that adds need not be as large."""
    mean_rating: float | None
    """None where nobody gave a number."""


def clean_ratings_suite(
    scale: tuple[float, float] | None,
    *,
    books: Path,
    readers: Path,
    before: Before | None,
    minimum_kept_share: float,
) -> Suite:
    """
    What ratings must look like before they are stored and learnt from.

    Args:
        scale: Lowest and highest rating; None where no rating is explicit.
        books: The clean catalogue, Parquet with `book_id`.
        readers: All readers, Parquet with `user_id`.
        before: The previous accepted batch, if there is one.
        minimum_kept_share: With fewer of its rows something has been lost.
    """
    gxe = load_great_expectations().expectations
    return Suite(
        "clean ratings",
        RATING_COLUMNS,
        (
            *table_of(RATING_COLUMNS, "rating", empty="critical"),
            _refers("book_id", books, "Every rating is of a book of the catalogue", "critical"),
            _refers("user_id", readers, "Every rating is by a known reader", "critical"),
            gxe.ExpectCompoundColumnsToBeUnique(
                column_list=["user_id", "book_id"],
                severity="critical",
                description="No reader rates a book twice",
            ),
            *([] if scale is None else _on_clean_scale(scale)),
            *([] if before is None else _like_before("rating", before.ratings, minimum_kept_share)),
            *_mean_like_before(scale, before),
        ),
    )


def clean_books_suite(*, ratings: Path, before: Before | None, minimum_kept_share: float) -> Suite:
    """What a catalogue must look like before it is stored; arguments as for ratings."""
    custom = _custom()
    return Suite(
        "clean books",
        BOOK_COLUMNS,
        (
            *table_of(BOOK_COLUMNS, "book", empty="critical"),
            *unique_key("book_id", "No two books share an id"),
            custom.ExpectColumnValuesToBeValidIsbn13(
                column="isbn13",
                severity="critical",
                description="Every ISBN-13 has the right check digit",
            ),
            _refers(
                "book_id", ratings, "At least half of the books are rated", "warning", mostly=0.5
            ),
            *([] if before is None else _like_before("book", before.books, minimum_kept_share)),
        ),
    )


def _custom() -> ModuleType:
    """Ours; the library must have been loaded before, so that it is silent."""
    load_great_expectations()
    return importlib.import_module("expectations.custom_expectations")


def _refers(
    column: str, table: Path, description: str, severity: str, mostly: float = 1.0
) -> "Expectation":
    return _custom().ExpectColumnValuesToReferToTable(
        column=column,
        path=str(table),
        key=column,
        mostly=mostly,
        severity=severity,
        description=description,
    )


def _on_clean_scale(scale: tuple[float, float]) -> tuple["Expectation", ...]:
    low, high = scale
    expect = _custom().ExpectColumnValuesToStandOnRatingScale
    return (
        expect(
            column="rating",
            low=low,
            high=high,
            severity="critical",
            description=f"Ratings lie between {low:g} and {high:g}",
        ),
        expect(
            column="rating",
            low=low,
            high=high,
            step=STEP,
            severity="warning",
            description="Ratings stand on whole or half steps of their scale",
        ),
    )


def _like_before(thing: str, rows: int, minimum_share: float) -> tuple["Expectation", ...]:
    if not rows:
        return ()
    gxe = load_great_expectations().expectations
    return (
        gxe.ExpectTableRowCountToBeBetween(
            min_value=math.ceil(minimum_share * rows),
            severity="critical",
            description=f"At least {minimum_share:.0%} of the {rows:,} {thing}s of the previous "
            "batch are there again",
        ),
        gxe.ExpectTableRowCountToBeBetween(
            min_value=rows,
            severity="warning",
            description=f"There are no fewer {thing}s than the {rows:,} of the previous batch",
        ),
    )


def _mean_like_before(
    scale: tuple[float, float] | None, before: Before | None
) -> tuple["Expectation", ...]:
    if scale is None or before is None or before.mean_rating is None:
        return ()
    shift = MEAN_SHIFT * (scale[1] - scale[0])
    low, high = before.mean_rating - shift, before.mean_rating + shift
    gxe = load_great_expectations().expectations
    return (
        gxe.ExpectColumnMeanToBeBetween(
            column="rating",
            min_value=low,
            max_value=high,
            severity="warning",
            description=f"The mean rating lies between {low:.2f} and {high:.2f}, "
            "near that of the previous batch",
        ),
    )
