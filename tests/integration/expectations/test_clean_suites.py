"""The suites of clean tables, against tables with one defect each, and what references cost."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from expectations.clean_suites import Before, clean_books_suite, clean_ratings_suite
from expectations.results import SuiteResult
from expectations.runner import validate
from tests.integration.expectations.frames import books, ratings, spoiled

SCALE = (1.0, 5.0)


@pytest.fixture
def tables(tmp_path: Path) -> Path:
    """A folder with the sound tables that references lead to."""
    pq.write_table(pa.table({"book_id": ratings()["book_id"]}), tmp_path / "ratings.parquet")
    pq.write_table(pa.table({"book_id": ["b1", "b2", "b3", "b4"]}), tmp_path / "books.parquet")
    readers = {"user_id": ["ann", "ben", "cid", "dora", "eve"]}
    pq.write_table(pa.table(readers), tmp_path / "readers.parquet")
    return tmp_path


def of_ratings(
    tables: Path, frame: pd.DataFrame, before: Before | None = None, scale=SCALE
) -> SuiteResult:
    suite = clean_ratings_suite(
        scale,
        books=tables / "books.parquet",
        readers=tables / "readers.parquet",
        before=before,
        minimum_kept_share=0.5,
    )
    frames = {"ratings": (suite, frame)}
    return validate(frames, run_name="run", docs_folder=tables / "docs")["ratings"]


def of_books(tables: Path, frame: pd.DataFrame, before: Before | None = None) -> SuiteResult:
    suite = clean_books_suite(
        ratings=tables / "ratings.parquet", before=before, minimum_kept_share=0.5
    )
    return validate({"books": (suite, frame)}, run_name="run", docs_folder=tables / "docs")["books"]


def failed(result: SuiteResult) -> tuple[list[str], list[str]]:
    """Names of the critical expectations that failed, and of the others."""
    return [o.name for o in result.critical_failures], [o.name for o in result.warnings]


def four_books() -> pd.DataFrame:
    return books().iloc[1:5].reset_index(drop=True)


def test_sound_tables_keep_every_expectation(tables: Path):
    assert failed(of_ratings(tables, ratings())) == ([], [])
    assert failed(of_books(tables, four_books())) == ([], [])


@pytest.mark.parametrize(
    ("column", "value", "name"),
    [
        ("book_id", "b9", "expect_column_values_to_refer_to_table"),
        ("user_id", "zoe", "expect_column_values_to_refer_to_table"),
        ("user_id", "ben", "expect_compound_columns_to_be_unique"),
        ("rating", 6.0, "expect_column_values_to_stand_on_rating_scale"),
    ],
)
def test_a_defect_of_ratings_is_critical(tables: Path, column: str, value: object, name: str):
    critical, _ = failed(of_ratings(tables, spoiled(ratings(), column, [value])))
    assert critical == [name]


def test_a_rating_between_the_steps_of_the_scale_is_told(tables: Path):
    frame = spoiled(ratings(), "rating", [3.14, 3.5])
    expected = ([], ["expect_column_values_to_stand_on_rating_scale"])
    assert failed(of_ratings(tables, frame)) == expected


def test_where_nobody_gave_a_number_there_is_no_scale(tables: Path):
    frame = spoiled(ratings(), "rating", [None] * 20)
    assert failed(of_ratings(tables, frame, scale=None)) == ([], [])


def test_an_isbn_with_a_wrong_check_digit_is_critical(tables: Path):
    frame = spoiled(four_books(), "isbn13", ["9780140449137"])
    critical, warnings = failed(of_books(tables, frame))
    assert (critical, warnings) == (["expect_column_values_to_be_valid_isbn13"], [])


def test_a_book_twice_is_critical(tables: Path):
    frame = spoiled(four_books(), "book_id", ["b2"])
    assert failed(of_books(tables, frame))[0] == ["expect_column_values_to_be_unique"]


def test_a_catalogue_that_few_ratings_are_of_is_told(tables: Path):
    name = "expect_column_values_to_refer_to_table"
    assert failed(of_books(tables, books())) == ([], [name])


@pytest.mark.parametrize(
    ("rows_before", "expected"),
    [(20, ([], [])), (21, ([], ["rows"])), (40, ([], ["rows"])), (41, (["rows"], ["rows"]))],
)
def test_fewer_rows_than_before_are_told_and_too_few_are_critical(
    tables: Path, rows_before: int, expected: tuple[list[str], list[str]]
):
    name = {"rows": "expect_table_row_count_to_be_between"}
    wanted = tuple([name[n] for n in names] for names in expected)
    before = Before(ratings=rows_before, books=rows_before, mean_rating=3.0)
    assert failed(of_ratings(tables, ratings(), before)) == wanted
    twenty = books().assign(book_id=[f"b{1 + num % 4}-{num}" for num in range(20)])
    pq.write_table(pa.table({"book_id": twenty["book_id"]}), tables / "ratings.parquet")
    assert failed(of_books(tables, twenty, before)) == wanted


def test_another_mean_rating_than_before_is_told(tables: Path):
    near, far = Before(20, 4, mean_rating=3.3), Before(20, 4, mean_rating=3.5)
    assert failed(of_ratings(tables, ratings(), near)) == ([], [])
    assert failed(of_ratings(tables, ratings(), far)) == ([], ["expect_column_mean_to_be_between"])


def test_pages_do_not_list_the_keys_that_a_reference_may_have(tables: Path):
    ids = [f"key-{num}" for num in range(3_000)]
    pq.write_table(pa.table({"book_id": [*ids, "b1", "b2", "b3", "b4"]}), tables / "books.parquet")
    of_ratings(tables, ratings())
    page = (tables / "docs" / "ratings.html").read_text()
    assert "Every rating is of a book of the catalogue" in page
    assert "key-" not in page
    assert str(tables) not in page
    assert len(page) < 60_000


def test_a_hundred_thousand_integer_ids_are_looked_up(tables: Path):
    rng = np.random.default_rng(0)
    pq.write_table(pa.table({"book_id": np.arange(1000)}), tables / "books.parquet")
    pq.write_table(pa.table({"user_id": np.arange(100_000)}), tables / "readers.parquet")
    columns = {
        "user_id": np.arange(100_000),
        "book_id": rng.integers(0, 1000, 100_000),
        "rating": 3.0,
        "rated_at": pd.Timestamp("2025-01-01", tz="UTC"),
        "row": np.arange(100_000),
    }
    frame = pd.DataFrame(columns)
    assert failed(of_ratings(tables, frame)) == ([], [])
    frame.loc[7, "book_id"] = 1000
    (broken,) = of_ratings(tables, frame).critical_failures
    assert broken.unexpected_count == 1
