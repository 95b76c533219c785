"""
Where Great Expectations keeps results until their pages are rendered; it loads the class by name.

Its own store writes each result as JSON and reads it again, which takes longer than the judging.
"""

from typing import Any

from great_expectations.core import ExpectationSuiteValidationResult
from great_expectations.data_context.store import validation_results_store as theirs


class ValidationResultsStore(theirs.ValidationResultsStore):
    """Keeps the results themselves. Under another name theirs would be added and take its place."""

    def serialize(self, value: ExpectationSuiteValidationResult) -> Any:
        """Within something that is true, as a result that failed is not."""
        return (value,)

    def deserialize(self, value: Any) -> ExpectationSuiteValidationResult:
        """The same object."""
        (result,) = value
        return result
