"""Each suite against tables with one defect each."""

import re
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

from expectations.errors import BrokenExpectationError
from expectations.evidence import evidence
from expectations.results import outcome
from expectations.runner import SuiteResult, validate
from expectations.suites import Suite, books_suite, features_suite, ratings_suite
from pipelines.data.schemas import BOOKS as BOOKS_SCHEMA
from pipelines.data.schemas import RAW_RATINGS
from tests.integration.expectations.frames import NOW, books, features, ratings, spoiled

NULLS, BLANKS = [None, None, None], [" ", "", "\t"]
COLUMNS = ("expect_table_columns_to_match_set", None)
NO_ROWS = ("expect_table_row_count_to_be_between", None)
TOMORROW = pd.Timestamp(NOW) + pd.Timedelta(hours=23)
NEXT_WEEK = pd.Timestamp(NOW) + pd.Timedelta(days=7)


def null(column: str) -> tuple[str, str]:
    return ("expect_column_values_to_not_be_null", column)


def pattern(column: str) -> tuple[str, str]:
    return ("expect_column_values_to_match_regex", column)


def bounds(column: str) -> tuple[str, str]:
    return ("expect_column_values_to_be_between", column)


def distinct(column: str) -> tuple[str, str]:
    return ("expect_column_values_to_be_unique", column)


def variety(column: str) -> tuple[str, str]:
    return ("expect_column_unique_value_count_to_be_between", column)


@dataclass(frozen=True)
class Case:
    frame: pd.DataFrame
    critical: set[tuple[str, str | None]] = field(default_factory=set)
    warnings: set[tuple[str, str | None]] = field(default_factory=set)
    rows: dict[str, list[int]] = field(default_factory=dict)


PAIRS = ("expect_compound_columns_to_be_unique", None)
REPEATED = ["ann"] * 5  # the fifth row is ben's rating of b1, and ann has rated b1
RATINGS = {
    "sound": Case(ratings()),
    "implicit": Case(spoiled(ratings(), "rating", [None] * 20)),
    "undated": Case(spoiled(ratings(), "rated_at", [None] * 20)),
    "dated_within_clock_skew": Case(spoiled(ratings(), "rated_at", [TOMORROW])),
    "a_missing_reader": Case(
        spoiled(ratings(), "user_id", [None]), rows={"missing_user_id": [101]}
    ),
    "a_blank_reader": Case(spoiled(ratings(), "user_id", [" "]), rows={"missing_user_id": [101]}),
    "null_and_blank_readers": Case(
        spoiled(ratings(), "user_id", ["", None]), rows={"missing_user_id": [101, 102]}
    ),
    "many_missing_readers": Case(
        spoiled(ratings(), "user_id", NULLS),
        critical={null("user_id")},
        rows={"missing_user_id": [101, 102, 103]},
    ),
    "many_blank_readers": Case(
        spoiled(ratings(), "user_id", BLANKS),
        critical={pattern("user_id")},
        rows={"missing_user_id": [101, 102, 103]},
    ),
    "one_blank_for_many_readers": Case(
        spoiled(ratings(), "user_id", [" "] * 3),
        critical={pattern("user_id")},
        rows={"missing_user_id": [101, 102, 103]},
    ),
    "a_missing_book": Case(spoiled(ratings(), "book_id", [None]), rows={"missing_book_id": [101]}),
    "many_missing_books": Case(
        spoiled(ratings(), "book_id", NULLS),
        critical={null("book_id")},
        rows={"missing_book_id": [101, 102, 103]},
    ),
    "a_rating_above_scale": Case(
        spoiled(ratings(), "rating", [5, 5.5]), rows={"rating_out_of_scale": [102]}
    ),
    "a_rating_below_scale": Case(
        spoiled(ratings(), "rating", [0]), rows={"rating_out_of_scale": [101]}
    ),
    "an_infinite_rating": Case(
        spoiled(ratings(), "rating", [float("inf")]), rows={"rating_out_of_scale": [101]}
    ),
    "another_scale": Case(
        spoiled(ratings(), "rating", [7, 8, 9]),
        critical={bounds("rating")},
        rows={"rating_out_of_scale": [101, 102, 103]},
    ),
    "few_explicit_and_one_off_the_scale": Case(
        spoiled(ratings(), "rating", [9, *[None] * 15]),  # of five, not of twenty, too many
        critical={bounds("rating")},
        rows={"rating_out_of_scale": [101]},
    ),
    "a_pair_twice": Case(spoiled(ratings(), "user_id", REPEATED), warnings={PAIRS}),
    "a_rating_from_the_future": Case(
        spoiled(ratings(), "rated_at", [NEXT_WEEK]), warnings={bounds("rated_at")}
    ),
    "a_clock_that_was_never_set": Case(
        spoiled(ratings(), "rated_at", [pd.Timestamp(0, tz="UTC")]), warnings={bounds("rated_at")}
    ),
    "one_reader": Case(ratings().iloc[:4], critical={variety("user_id")}),
    "one_book": Case(ratings().iloc[::4], critical={variety("book_id")}),
    "no_rows": Case(ratings().iloc[:0], critical={NO_ROWS, variety("user_id"), variety("book_id")}),
    "no_rating_column": Case(ratings().drop(columns="rating"), critical={COLUMNS}),
    "no_book_column": Case(ratings().drop(columns="book_id"), critical={COLUMNS}),
    "no_row_column": Case(
        spoiled(ratings(), "user_id", [None]).drop(columns="row"), critical={COLUMNS}
    ),
    "a_column_too_many": Case(ratings().assign(note="x")),
    "a_row_number_twice": Case(spoiled(ratings(), "row", [102]), critical={distinct("row")}),
    "a_missing_row_number": Case(
        spoiled(spoiled(ratings(), "user_id", [None]).astype({"row": "float"}), "row", [None]),
        critical={null("row")},
    ),
}
BOOKS = {
    "sound": Case(books()),
    "nullable_years": Case(books().astype({"year": "Int32"})),
    "no_rows": Case(books().iloc[:0], warnings={NO_ROWS}),
    "no_title_column": Case(books().drop(columns="title"), critical={COLUMNS}),
    "a_missing_id": Case(spoiled(books(), "book_id", [None]), rows={"missing_book_id": [101]}),
    "a_blank_id": Case(spoiled(books(), "book_id", [""]), rows={"missing_book_id": [101]}),
    "many_missing_ids": Case(
        spoiled(books(), "book_id", NULLS),
        critical={null("book_id")},
        rows={"missing_book_id": [101, 102, 103]},
    ),
    "an_id_twice": Case(spoiled(books(), "book_id", ["b1"]), warnings={distinct("book_id")}),
    "few_missing_titles": Case(spoiled(books(), "title", [None, None])),
    "many_missing_titles": Case(spoiled(books(), "title", NULLS), warnings={null("title")}),
    "next_year": Case(spoiled(books(), "year", [2027])),
    "a_year_too_late": Case(spoiled(books(), "year", [2028]), warnings={bounds("year")}),
    "a_year_too_early": Case(spoiled(books(), "year", [-3001]), warnings={bounds("year")}),
    "an_isbn10": Case(spoiled(books(), "isbn13", ["0140449132"]), warnings={pattern("isbn13")}),
    "a_row_number_twice": Case(spoiled(books(), "row", [102]), critical={distinct("row")}),
}
LIKED = ("expect_column_max_to_be_between", "likes")
FEATURES = {
    "sound": Case(features()),
    "a_gap": Case(spoiled(features(), "book_num", [10]), critical={bounds("book_num")}),
    "a_negative_position": Case(
        spoiled(features(), "book_num", [-1]), critical={bounds("book_num")}
    ),
    "a_position_twice": Case(spoiled(features(), "book_num", [1]), critical={distinct("book_num")}),
    "an_id_twice": Case(spoiled(features(), "book_id", ["b1"]), critical={distinct("book_id")}),
    "negative_likes": Case(spoiled(features(), "likes", [-1]), critical={bounds("likes")}),
    "no_likes_at_all": Case(features().assign(likes=0), critical={LIKED}),
    "mostly_without_words": Case(features().assign(n_words=0), warnings={bounds("n_words")}),
    "no_rows": Case(features().iloc[:0], critical={NO_ROWS, LIKED}),
    "no_likes_column": Case(features().drop(columns="likes"), critical={COLUMNS}),
}


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> dict[str, SuiteResult]:
    """All cases in one run: what costs time is to start one."""
    suites = [
        ("ratings", ratings_suite((1, 5), now=NOW), RATINGS),
        ("books", books_suite(now=NOW), BOOKS),
        ("features", features_suite(), FEATURES),
    ]
    frames: dict[str, tuple[Suite, pd.DataFrame]] = {
        f"{dataset}-{name}": (suite, case.frame)
        for dataset, suite, cases in suites
        for name, case in cases.items()
    }
    return validate(frames, run_name="all_cases", docs_folder=tmp_path_factory.mktemp("docs"))


def as_arrow(frame: pd.DataFrame, schema: pa.Schema, *, encoded: bool) -> pa.Table:
    """As the stages hold it; ids perhaps encoded, as those of ratings are."""
    found = {}
    for name in frame.columns:
        sound = name in schema.names and (name != "row" or not frame[name].hasnans)
        kind = schema.field(name).type if sound else None
        column = pa.array(frame[name].tolist(), kind, from_pandas=True)
        found[name] = column.dictionary_encode() if encoded and name.endswith("_id") else column
    return pa.table(found)


def counts_of(facts: dict) -> dict[str, float | None]:
    """Every number that Great Expectations tells of a column."""
    return {name: facts[name] for name in sorted(facts) if re.search("_count$|_percent", name)}


@pytest.mark.parametrize("encoded", [False, True])
def test_rows_that_decide_give_the_same_results_and_pages_as_all_rows(
    tmp_path, encoded, monkeypatch
):
    """Law: whatever the defect, screening changes neither outcome nor count nor page."""
    told: list[dict] = []

    def noting_counts(suite, result):
        told.append({"column": result.expectation_config.kwargs, **counts_of(result.result)})
        return outcome(suite, result)

    monkeypatch.setattr("expectations.runner.outcome", noting_counts)
    suites = [
        ("ratings", ratings_suite((1, 5), now=NOW), RATINGS, RAW_RATINGS),
        ("books", books_suite(now=NOW), BOOKS, BOOKS_SCHEMA),
    ]
    frames = {
        f"{dataset}-{name}": (
            suite,
            whole_years(case.frame),
            as_arrow(case.frame, schema, encoded=encoded),
        )
        for dataset, suite, cases, schema in suites
        for name, case in cases.items()
    }
    whole, screened = (
        validate(
            {name: (suite, of[which]) for name, (suite, *of) in frames.items()},
            run_name="r",
            docs_folder=tmp_path / str(which),
        )
        for which in (0, 1)
    )
    assert screened == whole
    assert len(told) % 2 == 0
    assert told[len(told) // 2 :] == told[: len(told) // 2]
    for name in frames:
        one, other = (page_text(tmp_path / str(which) / f"{name}.html") for which in (0, 1))
        assert one == other


def whole_years(frame: pd.DataFrame) -> pd.DataFrame:
    """Or a missing year would turn the others into floats, and only of all rows one is missing."""
    return frame.astype({"year": "Int32"}) if "year" in frame.columns else frame


def page_text(path: Path) -> str:
    """What a page says, without when it was made and the ids of its elements."""
    text = re.sub(
        r"<script.*?</script>|<style.*?</style>|<[^>]*>", " ", path.read_text(), flags=re.DOTALL
    )
    return re.sub(r"\d{4}-\d\d-\d\d[T ][\d:.]+\S*|\d{8}T\d{6}\S*|[0-9a-f]{32}", "", text)


def test_of_many_sound_rows_few_decide():
    """Law: as many as there are distinct ids, at most, and the first."""
    pairs = list(product(range(50), range(20)))
    table = {
        "user_id": [f"r{user}" for user, _ in pairs],
        "book_id": [f"b{book}" for _, book in pairs],
        "rating": [3.0] * 1000,
        "rated_at": [NOW] * 1000,
        "row": range(1000),
    }
    suite = ratings_suite((1, 5), now=NOW)
    assert len(evidence(pa.table(table, RAW_RATINGS), suite.expectations)) <= 50 + 20 + 1


def assert_as_stated(result: SuiteResult, case: Case) -> None:
    assert {(o.name, o.column) for o in result.critical_failures} == case.critical
    assert {(o.name, o.column) for o in result.warnings} == case.warnings
    assert result.breaking_rows == case.rows
    assert result.success == (not case.critical)
    assert result.n_rows == len(case.frame)


@pytest.mark.parametrize("name", RATINGS)
def test_ratings_defect_has_its_stated_outcome(results, name):
    assert_as_stated(results[f"ratings-{name}"], RATINGS[name])


@pytest.mark.parametrize("name", BOOKS)
def test_books_defect_has_its_stated_outcome(results, name):
    assert_as_stated(results[f"books-{name}"], BOOKS[name])


@pytest.mark.parametrize("name", FEATURES)
def test_features_defect_has_its_stated_outcome(results, name):
    assert_as_stated(results[f"features-{name}"], FEATURES[name])


def test_outcomes_stand_in_the_order_of_the_suite(results):
    assert [o.name for o in results["ratings-sound"].outcomes] == [
        e.expectation_type for e in ratings_suite((1, 5)).expectations
    ]


def test_expectations_on_a_missing_column_are_not_run(results):
    result = results["ratings-no_book_column"]
    assert "book_id" not in {o.column for o in result.outcomes}
    assert PAIRS not in {(o.name, o.column) for o in result.outcomes}


def test_message_names_the_missing_column(results):
    (failure,) = results["ratings-no_rating_column"].critical_failures
    assert failure.message.endswith("missing: rating")


def test_message_tells_how_many_rows_and_shows_one(results):
    (failure,) = results["ratings-another_scale"].critical_failures
    assert failure.message == ("Ratings lie between 1 and 5; 3 of 20 rows break this, e.g. 7.0")
    assert failure.unexpected_count == 3
    assert failure.rule == "rating_out_of_scale"


def test_without_explicit_ratings_none_is_off_the_scale(tmp_path):
    suite = ratings_suite(None, now=NOW)
    result = validate({"ratings": (suite, ratings())}, run_name="r", docs_folder=tmp_path)
    assert "rating" not in {o.column for o in result["ratings"].outcomes}


def test_rule_that_cannot_be_evaluated_is_not_bad_data(tmp_path):
    frame = ratings().astype({"rating": "str"})
    frames = {"ratings": (ratings_suite((1, 5), now=NOW), frame)}
    with pytest.raises(BrokenExpectationError, match="rating") as caught:
        validate(frames, run_name="r", docs_folder=tmp_path / "docs")
    assert (caught.value.suite, caught.value.column) == ("ratings", "rating")
    assert not (tmp_path / "docs").exists()


def test_frame_is_left_as_it_was(tmp_path):
    frame = ratings().iloc[::-1]
    before = frame.copy()
    validate({"ratings": (ratings_suite((1, 5)), frame)}, run_name="r", docs_folder=tmp_path)
    pd.testing.assert_frame_equal(frame, before)


def test_suite_can_be_run_again(tmp_path):
    frames = {"ratings": (ratings_suite((1, 5), now=NOW), ratings())}
    first = validate(frames, run_name="first", docs_folder=tmp_path / "first")
    assert validate(frames, run_name="second", docs_folder=tmp_path / "second") == first
