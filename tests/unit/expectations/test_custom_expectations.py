"""The conditions, held against what the pipeline itself knows of ISBNs."""

import numpy as np
import pytest

from expectations.custom_expectations import are_isbn13, on_scale
from pipelines.data.isbn import is_isbn13


def test_isbns_are_those_that_cleaning_leaves():
    rng = np.random.default_rng(0)
    texts = ["".join(map(str, digits)) for digits in rng.integers(0, 10, (3_000, 9))]
    texts = [f"{prefix}{t}{last}" for t in texts for prefix, last in (("978", 0), ("979", 7))]
    texts += [
        "9780140449136",
        "9780140449137",
        "",
        "978014044913X",
        "97801404491360",
        "\uff19780140449136",
    ]
    found = are_isbn13(texts)
    assert found.tolist() == [is_isbn13(text) for text in texts]
    assert 300 < found.sum() < 900


def test_no_isbns_are_no_problem():
    assert are_isbn13([]).tolist() == []


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (None, [False, True, True, True, False]),
        (0.5, [False, True, True, False, False]),
        (1.0, [False, True, False, False, False]),
    ],
)
def test_a_scale_has_ends_and_steps(step: float | None, expected: list[bool]):
    ratings = np.array([0.5, 1.0, 2.5, 3.14, 5.5])
    assert on_scale(ratings, 1.0, 5.0, step).tolist() == expected
