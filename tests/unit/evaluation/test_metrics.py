"""Values worked by hand."""

import numpy as np
import pytest
from scipy import sparse

from pipelines.evaluation import metrics
from pipelines.models.base import RankedBooks


def ranked(*nums):
    return RankedBooks(np.array(nums, np.int32), np.zeros(len(nums), np.float32))


def array(*nums):
    return np.array(nums, np.int32)


# Hits at ranks 1 and 3 of 5; 3 relevant books.
HITS = np.array([[True, False, True, False, False]])
THREE = np.array([3])


def test_hit_matrix_marks_each_list_by_its_own_books():
    hits = metrics.hit_matrix([ranked(4, 2, 0), ranked(4, 2, 0)], [array(0, 4), array(2)], 3)
    assert hits.tolist() == [[True, False, True], [False, True, False]]


def test_hit_matrix_ignores_what_stands_below_the_cutoff():
    assert metrics.hit_matrix([ranked(4, 2, 0)], [array(0)], 2).tolist() == [[False, False]]


def test_short_list_is_padded_with_misses():
    hits = metrics.hit_matrix([ranked(1), ranked()], [array(1), array(0)], 3)
    assert hits.tolist() == [[True, False, False], [False, False, False]]


def test_padding_never_hits_the_last_book_of_the_previous_reader():
    # A padded -1 of reader 1 is the same number as the highest book of reader 0.
    hits = metrics.hit_matrix([ranked(5), ranked(0)], [array(5), array(1)], 2)
    assert hits.tolist() == [[True, False], [False, False]]


def test_reader_without_relevant_books_scores_0():
    hits, none = metrics.hit_matrix([ranked(1, 2)], [array()], 2), np.array([0])
    assert metrics.ndcg(hits, none) == metrics.recall(hits, none) == 0
    assert metrics.average_precision(hits, none) == 0


def test_ndcg():
    # (1 + 1/2) / (1 + 1/log2(3) + 1/2) = 1.5 / 2.1309297535714573
    assert metrics.ndcg(HITS, THREE)[0] == pytest.approx(0.7039180890341347, abs=1e-12)


def test_ideal_of_ndcg_is_cut_at_k():
    assert metrics.ndcg(np.array([[True, True]]), np.array([7]))[0] == 1


def test_rounding_never_lifts_ndcg_above_1():
    perfect = np.ones((1, 19), np.bool_)
    gain, ideal = (1 / np.log2(np.arange(19) + 2)).sum(), np.cumsum(1 / np.log2(np.arange(19) + 2))
    assert gain / ideal[-1] > 1
    assert metrics.ndcg(perfect, np.array([19]))[0] == 1


def test_recall():
    assert metrics.recall(HITS, THREE)[0] == pytest.approx(2 / 3)


def test_recall_is_not_calibrated_to_the_list_length():
    assert metrics.recall(np.array([[True, True]]), np.array([8]))[0] == 0.25


def test_precision():
    assert metrics.precision(HITS)[0] == pytest.approx(2 / 5)


def test_average_precision():
    # Precision is 1 at the first hit and 2/3 at the second; 3 books are relevant.
    assert metrics.average_precision(HITS, THREE)[0] == pytest.approx(5 / 9)


def test_reciprocal_rank_looks_at_the_first_hit():
    hits = np.array([[False, True, True], [False, False, False]])
    assert metrics.reciprocal_rank(hits).tolist() == [0.5, 0]


def test_hit_rate():
    assert metrics.hit_rate(np.array([[False, True], [False, False]])).tolist() == [1, 0]


def test_recommendation_counts_leave_padding_out():
    books = metrics.book_matrix([ranked(2, 0), ranked(2)], 2)
    assert metrics.recommendation_counts(books, 4).tolist() == [1, 0, 2, 0]


def test_coverage():
    assert metrics.coverage(np.array([1, 0, 2, 0])) == 0.5


@pytest.mark.parametrize(
    ("counts", "expected"),
    [([5, 5, 5, 5], 0), ([0, 0, 0, 9], 0.75), ([1, 3], 0.25), ([0, 0], 0)],
)
def test_gini(counts, expected):
    assert metrics.gini(np.array(counts)) == pytest.approx(expected)


def test_novelty_is_the_mean_over_recommendations():
    # Shares 1/2, 1/4, 1/4: 1, 2 and 2 bits.
    popularity = np.array([4, 2, 2])
    assert metrics.novelty(np.array([1, 0, 0]), popularity) == 1
    assert metrics.novelty(np.array([2, 1, 1]), popularity) == pytest.approx(1.5)


def test_book_without_interactions_is_as_novel_as_one_with_a_single_one():
    popularity = np.array([7, 1, 0])
    assert metrics.novelty(np.array([0, 0, 1]), popularity) == 3


def test_novelty_of_nothing_is_0():
    assert metrics.novelty(np.array([0, 0]), np.array([0, 0])) == 0


# Books 0 and 1 are alike, 2 is of another kind, 3 half of each; of 4 nothing is known.
DOCUMENTS = metrics.unit_rows(
    sparse.csr_array(np.array([[2.0, 0], [1, 0], [0, 3], [1, 1], [0, 0]]))
)


def diversity(*lists):
    return metrics.diversity(metrics.book_matrix([ranked(*nums) for nums in lists], 4), DOCUMENTS)


def test_unit_rows_have_length_1_and_empty_ones_stay_empty():
    lengths = np.sqrt((DOCUMENTS * DOCUMENTS).sum(axis=1))
    assert lengths == pytest.approx([1, 1, 1, 1, 0])


def test_diversity_of_like_and_unlike_books():
    assert diversity((0, 1)) == 0
    assert diversity((0, 2)) == 1
    assert diversity((2, 3)) == pytest.approx(1 - np.sqrt(0.5))


def test_diversity_is_the_mean_over_pairs_then_over_lists():
    # Pairs of the first list: 0, 1, 1; the second list: 0.
    assert diversity((0, 1, 2), (0, 1)) == pytest.approx((2 / 3 + 0) / 2)


def test_book_of_which_nothing_is_known_is_not_in_the_list():
    assert diversity((0, 4, 2)) == 1
    assert diversity((0, 2), (0, 4)) == 1


def test_diversity_is_absent_without_pairs():
    assert diversity((0,), (4, 1), ()) is None


def test_padding_is_not_the_last_book():
    known = DOCUMENTS[:4]
    books = metrics.book_matrix([ranked(0, 1)], 4)
    assert metrics.diversity(books, sparse.csr_array(known)) == 0
