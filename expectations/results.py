"""What came of holding a table against its suite, in plain values."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Any, Literal, cast

import pandas as pd

from expectations.errors import BrokenExpectationError

if TYPE_CHECKING:
    from great_expectations.core import ExpectationValidationResult
    from great_expectations.expectations.expectation_configuration import ExpectationConfiguration

Severity = Literal["critical", "warning"]
EXAMPLE_LENGTH = 60
"""Characters shown of a value that breaks an expectation."""


@dataclass(frozen=True)
class ExpectationOutcome:
    """What came of one expectation."""

    name: str
    """The kind of expectation, e.g. expect_column_values_to_be_unique."""
    column: str | None
    """None where the expectation concerns several columns or the whole table."""
    severity: Severity
    success: bool
    unexpected_count: int
    """Rows that break it; some may although it succeeded, where it tolerates a share."""
    observed: str | None
    message: str
    """For people: what is expected and, where it failed, what was found instead."""
    rule: str | None
    """The quarantine rule that its breaking rows fall under; None where they may pass."""


@dataclass(frozen=True)
class SuiteResult:
    """What came of one suite."""

    suite: str
    outcomes: tuple[ExpectationOutcome, ...]
    breaking_rows: dict[str, list[int]]
    """For each rule that rows broke the values of `row`, ascending; rules in the suite's order."""
    n_rows: int = field(default=0, kw_only=True)

    @property
    def critical_failures(self) -> tuple[ExpectationOutcome, ...]:
        """The batch must go no further if there are any."""
        return self._failures("critical")

    @property
    def warnings(self) -> tuple[ExpectationOutcome, ...]:
        """Failures to be told about, not to be stopped by."""
        return self._failures("warning")

    @property
    def success(self) -> bool:
        """Whether no critical expectation failed."""
        return not self.critical_failures

    def _failures(self, severity: str) -> tuple[ExpectationOutcome, ...]:
        return tuple(o for o in self.outcomes if o.severity == severity and not o.success)


def configuration(result: "ExpectationValidationResult") -> "ExpectationConfiguration":
    """The expectation that a result answers; the library's types call it optional."""
    if result.expectation_config is None:
        raise TypeError(f"a result without its expectation: {result}")
    return result.expectation_config


def rule_of(result: "ExpectationValidationResult") -> str | None:
    """The quarantine rule that breaking rows fall under."""
    return (configuration(result).meta or {}).get("rule")


def severity_of(result: "ExpectationValidationResult") -> Severity:
    """The library knows a third, which no suite here uses."""
    return cast(Severity, configuration(result).severity.value)


def outcome(suite: str, result: "ExpectationValidationResult") -> ExpectationOutcome:
    """
    Translate one result.

    Raises:
        BrokenExpectationError: the expectation raised instead of answering.
    """
    config = configuration(result)
    column = config.kwargs.get("column")
    if cause := _raised(result.exception_info):
        raise BrokenExpectationError(suite, config.type, column, " ".join(cause.split()))
    return ExpectationOutcome(
        name=config.type,
        column=column,
        severity=severity_of(result),
        success=bool(result.success),
        unexpected_count=int(result.result.get("unexpected_count") or 0),
        observed=_observed(result.result),
        message=_message(config.description or config.type, result),
        rule=rule_of(result),
    )


def rows_by_rule(results: Iterable["ExpectationValidationResult"]) -> dict[str, list[int]]:
    """The rows to set aside; index lists are those of a frame that is indexed by `row`."""
    found: dict[str, list[list[int]]] = {}
    for result in results:
        rule = rule_of(result)
        if rule and (rows := result.result.get("unexpected_index_list")):
            found.setdefault(rule, []).append(rows)
    return {rule: sorted({int(row) for row in chain(*lists)}) for rule, lists in found.items()}


def _raised(exception_info: Mapping[str, Any]) -> str | None:
    """The first message; the library files it directly or under the metric that raised."""
    infos = [exception_info] if "raised_exception" in exception_info else exception_info.values()
    return next((i["exception_message"] for i in infos if i["raised_exception"]), None)


def _observed(facts: Mapping[str, Any]) -> str | None:
    if facts.get("observed_value") is not None:
        return str(facts["observed_value"])
    if facts.get("unexpected_percent") is not None:
        return f"{facts['unexpected_percent']:.3g} % unexpected"
    return None


def _message(expected: str, result: "ExpectationValidationResult") -> str:
    return expected if result.success else f"{expected}; {_found(result.result)}"


def _found(facts: Mapping[str, Any]) -> str:
    missing = facts.get("details", {}).get("mismatched", {}).get("missing")
    if missing:
        return f"missing: {', '.join(missing)}"
    if "unexpected_count" not in facts:
        return f"found {facts.get('observed_value')}"
    share = f"{facts['unexpected_count']:,} of {facts['element_count']:,} rows break this"
    example = next(iter(facts.get("partial_unexpected_list") or []), None)
    return share if _is_missing(example) else f"{share}, e.g. {_text(example)}"


def _is_missing(value: object) -> bool:
    return pd.api.types.is_scalar(value) and bool(pd.isna(value))


def _text(value: object) -> str:
    if isinstance(value, dict):
        text = ", ".join(f"{column} {part}" for column, part in value.items())
    else:
        text = str(value)
    return text if len(text) <= EXAMPLE_LENGTH else f"{text[:EXAMPLE_LENGTH]}…"
