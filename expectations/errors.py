"""
What can go wrong in checking data, as opposed to what can be wrong with it.

ExpectationError
├── BrokenExpectationError   an expectation could not be evaluated: the rule is wrong, not the data
└── DataDocsError            the report could not be written
"""


class ExpectationError(Exception):
    """Root of the tree."""


class BrokenExpectationError(ExpectationError):
    """An expectation could not be evaluated, so nothing is known about the data."""

    def __init__(self, suite: str, expectation: str, column: str | None, cause: str) -> None:
        self.suite = suite
        self.expectation = expectation
        self.column = column
        self.cause = cause
        super().__init__(
            f"{suite}: {expectation}({column or ''}) could not be evaluated: {cause}; "
            "correct the rule in expectations/suites.py or the type of the column"
        )


class DataDocsError(ExpectationError):
    """The report could not be written."""
