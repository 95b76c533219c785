from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest

from pipelines.data.schemas import RAW_RATINGS
from pipelines.stages.preprocess import days_since_1970, mean_ratings

RATED_AT = RAW_RATINGS.field("rated_at").type


def test_mean_ratings_leave_out_implicit_ones():
    ratings = np.array([5.0, 2.0, np.nan, np.nan, 4.0])
    book_nums = np.array([0, 0, 0, 1, 3], np.int32)
    assert mean_ratings(ratings, book_nums, 4).to_pylist() == [3.5, None, None, 4.0]


def test_without_ratings_there_is_no_mean():
    nobody = mean_ratings(np.empty(0), np.empty(0, np.int32), 2)
    assert nobody.to_pylist() == [None, None]


def test_times_become_days():
    times = [datetime(1970, 1, 2, 12, tzinfo=UTC), None, datetime(2023, 11, 14, tzinfo=UTC)]
    column = pa.chunked_array([pa.array(times, RATED_AT)])
    days = days_since_1970(column)
    assert days.dtype == np.float32
    np.testing.assert_array_equal(days, np.float32([1.5, np.nan, 19675]))


@pytest.mark.parametrize("times", [[], [None, None]])
def test_no_known_time_means_no_days(times):
    assert days_since_1970(pa.chunked_array([pa.array(times, RATED_AT)])) is None
