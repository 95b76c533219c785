"""
Expectations that Great Expectations lacks: references between tables, ISBNs, scales of ratings.

Importing this loads the library. Each condition looks at distinct values alone, and none takes a
list of ids: it would stand on every page.
"""

from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow.parquet as pq
from great_expectations.execution_engine.pandas_execution_engine import PandasExecutionEngine
from great_expectations.expectations.expectation import ColumnMapExpectation
from great_expectations.expectations.metrics.map_metric_provider.column_condition_partial import (
    column_condition_partial,
)
from great_expectations.expectations.metrics.map_metric_provider.column_map_metric_provider import (
    ColumnMapMetricProvider,
)

WEIGHTS = np.array([1, 3] * 6 + [1])
"""Of the digits of an ISBN-13, whose weighted sum is a multiple of ten."""
ZERO = ord("0")


class ColumnValuesAmongKeys(ColumnMapMetricProvider):
    condition_metric_name = "column_values.among_keys"
    condition_value_keys = ("path", "key")

    @column_condition_partial(engine=PandasExecutionEngine)
    def _pandas(cls, column: pd.Series, path: str, key: str, **_: Any) -> pd.Series:  # noqa: N805 - the decorator makes it a method of the class
        keys = pq.read_table(path, columns=[key])[key].to_pandas()
        return column.isin(keys.unique())


class ExpectColumnValuesToReferToTable(ColumnMapExpectation):
    """
    Expect every value to be a key of another table: referential integrity.

    Args:
        path: A Parquet file.
        key: Its column.
    """

    path: str
    key: str
    map_metric: ClassVar[str] = ColumnValuesAmongKeys.condition_metric_name
    success_keys: ClassVar[tuple[str, ...]] = ("path", "key", "mostly")


class ColumnValuesValidIsbn13(ColumnMapMetricProvider):
    condition_metric_name = "column_values.valid_isbn13"

    @column_condition_partial(engine=PandasExecutionEngine)
    def _pandas(cls, column: pd.Series, **_: Any) -> pd.Series:  # noqa: N805 - see above
        codes, distinct = pd.factorize(column)
        return pd.Series(are_isbn13(distinct)[codes], column.index)


class ExpectColumnValuesToBeValidIsbn13(ColumnMapExpectation):
    """Expect 978 or 979 and ten more digits, the last of which checks the others."""

    map_metric: ClassVar[str] = ColumnValuesValidIsbn13.condition_metric_name


class ColumnValuesOnRatingScale(ColumnMapMetricProvider):
    condition_metric_name = "column_values.on_rating_scale"
    condition_value_keys = ("low", "high", "step")

    @column_condition_partial(engine=PandasExecutionEngine)
    def _pandas(
        cls,  # noqa: N805 - see above
        column: pd.Series,
        low: float,
        high: float,
        step: float | None = None,
        **_: Any,
    ) -> pd.Series:
        codes, distinct = pd.factorize(column)
        return pd.Series(
            on_scale(np.asarray(distinct, float), low, high, step)[codes], column.index
        )


class ExpectColumnValuesToStandOnRatingScale(ColumnMapExpectation):
    """Expect ratings from `low` to `high`, a whole number of steps above it if there is a step."""

    low: float
    high: float
    step: float | None = None
    map_metric: ClassVar[str] = ColumnValuesOnRatingScale.condition_metric_name
    success_keys: ClassVar[tuple[str, ...]] = ("low", "high", "step", "mostly")


def are_isbn13(texts: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Which of the texts are an ISBN-13 with the right check digit."""
    found = pd.Series(np.asarray(texts, object), dtype="str")
    valid = found.str.fullmatch("97[89][0-9]{10}").to_numpy(bool, copy=True)
    characters = found[valid].to_numpy("U13").view(np.uint32).reshape(-1, 13)
    valid[valid] = (characters.astype(np.int64) - ZERO) @ WEIGHTS % 10 == 0
    return valid


def on_scale(
    ratings: npt.NDArray[np.float64], low: float, high: float, step: float | None
) -> npt.NDArray[np.bool_]:
    """Which ratings lie on a scale; steps are kept to within a millionth."""
    inside = (ratings >= low) & (ratings <= high)
    if step is None:
        return inside
    steps = (ratings - low) / step
    return inside & (np.abs(steps - np.round(steps)) < 1e-6)
