import numpy as np
import pytest

from pipelines.models.base import rank


def scores(*values):
    return np.array(values, np.float32)


def test_best_first():
    ranked = rank(scores(1, 3, 2), 2)
    assert ranked.book_nums.tolist() == [1, 2]
    assert ranked.scores.tolist() == [3, 2]


def test_ties_by_book_num_also_at_the_edge():
    assert rank(scores(1, 2, 1, 2, 1), 3).book_nums.tolist() == [1, 3, 0]


def test_what_has_no_score_is_left_out():
    assert rank(scores(-np.inf, 1, np.inf, np.nan), 4).book_nums.tolist() == [1]


def test_excluded_books_are_left_out():
    assert rank(scores(3, 2, 1), 3, np.array([0], np.int32)).book_nums.tolist() == [1, 2]


def test_nothing_to_rank():
    assert len(rank(scores(), 3)) == 0


@pytest.mark.parametrize("n", [0, -1])
def test_list_without_length_is_refused(n):
    with pytest.raises(ValueError, match="at least 1"):
        rank(scores(1), n)
