"""How results are put into words, shown on stand-ins for results of the library."""

from types import SimpleNamespace

import pandas as pd
import pytest

from expectations.errors import BrokenExpectationError
from expectations.results import ExpectationOutcome, SuiteResult, outcome, rows_by_rule

SOUND = {"raised_exception": False, "exception_message": None}


def result(facts, *, success=False, exception_info=SOUND, rule=None, severity="critical"):
    config = SimpleNamespace(
        type="expect_something",
        kwargs={"column": "rating"},
        severity=SimpleNamespace(value=severity),
        description="Ratings are fine",
        meta={"rule": rule} if rule else None,
    )
    return SimpleNamespace(
        expectation_config=config, result=facts, success=success, exception_info=exception_info
    )


def broken(value, count=2):
    return {
        "unexpected_count": count,
        "element_count": 4_000,
        "unexpected_percent": 0.05,
        "partial_unexpected_list": [value],
    }


def test_success_needs_no_explanation():
    assert outcome("ratings", result(broken(9.0), success=True)).message == "Ratings are fine"


def test_failure_tells_how_many_and_shows_an_example():
    told = outcome("ratings", result(broken(9.0)))
    assert told.message == "Ratings are fine; 2 of 4,000 rows break this, e.g. 9.0"
    assert told.observed == "0.05 % unexpected"


@pytest.mark.parametrize("value", [None, float("nan"), pd.NA, pd.NaT])
def test_missing_value_is_no_example(value):
    assert outcome("ratings", result(broken(value))).message.endswith("rows break this")


def test_long_example_is_cut():
    assert len(outcome("ratings", result(broken("x" * 10_000))).message) < 200


def test_pair_is_shown_by_column():
    pair = {"user_id": "ann", "book_id": "b1"}
    message = outcome("ratings", result(broken(pair))).message
    assert message.endswith("e.g. user_id ann, book_id b1")


def test_failure_of_the_whole_table_tells_what_was_found():
    told = outcome("ratings", result({"observed_value": 1}))
    assert (told.message, told.observed) == ("Ratings are fine; found 1", "1")


@pytest.mark.parametrize(
    "info",
    [
        {"raised_exception": True, "exception_message": "cannot compare"},
        {"metric": {"raised_exception": True, "exception_message": "cannot compare"}},
    ],
)
def test_expectation_that_raised_is_an_error(info):
    with pytest.raises(BrokenExpectationError, match="cannot compare") as caught:
        outcome("ratings", result({}, exception_info=info))
    assert caught.value.expectation == "expect_something"


def test_rows_come_from_expectations_with_a_rule_alone():
    rows = rows_by_rule(
        [
            result({"unexpected_index_list": [9, 3]}, rule="b"),
            result({"unexpected_index_list": [1]}, rule="a"),
            result({"unexpected_index_list": [3, 4]}, rule="b"),
            result({"unexpected_index_list": [5]}),
            result({"unexpected_index_list": []}, rule="c"),
        ]
    )
    assert rows == {"b": [3, 4, 9], "a": [1]}
    assert list(rows) == ["b", "a"]


def failing(severity):
    return ExpectationOutcome("e", None, severity, False, 0, None, "m", None)


def test_warning_does_not_stop_a_batch():
    assert SuiteResult("ratings", (failing("warning"),), {}).success


def test_critical_failure_stops_a_batch():
    result = SuiteResult("ratings", (failing("warning"), failing("critical")), {})
    assert not result.success
    assert [o.severity for o in result.critical_failures] == ["critical"]
    assert [o.severity for o in result.warnings] == ["warning"]
