"""
Where Great Expectations keeps results until their pages are rendered; it loads the class by name.

Its own store writes each result as JSON and reads it again, which takes longer than the judging.
"""

from typing import Any

from great_expectations.core import ExpectationSuiteValidationResult
from great_expectations.data_context.store.validation_results_store import ValidationResultsStore


class ResultsStore(ValidationResultsStore):
    """Keeps the results themselves: what is restated in them is on the pages."""

    def serialize(self, value: ExpectationSuiteValidationResult) -> Any:
        """Within something that is true, as a result that failed is not."""
        return (value,)

    def deserialize(self, value: Any) -> ExpectationSuiteValidationResult:
        """The same object."""
        (result,) = value
        return result
