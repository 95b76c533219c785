import numpy as np

from pipelines.stages.preprocess import mean_ratings


def test_mean_ratings_leave_out_implicit_ones():
    ratings = np.array([5.0, 2.0, np.nan, np.nan, 4.0])
    book_nums = np.array([0, 0, 0, 1, 3], np.int32)
    assert mean_ratings(ratings, book_nums, 4).to_pylist() == [3.5, None, None, 4.0]


def test_without_ratings_there_is_no_mean():
    nobody = mean_ratings(np.empty(0), np.empty(0, np.int32), 2)
    assert nobody.to_pylist() == [None, None]
