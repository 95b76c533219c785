import numpy as np
import pyarrow as pa
import pytest

from benchmarks.judging import Judge, ratio
from pipelines.data.dataset import Dataset
from pipelines.data.interactions import Vocabulary
from pipelines.data.splits import Part

N_BOOKS = 6


def judge() -> Judge:
    """Reader 0 met 0 and must find 1 and 2; reader 1 met 3 and must find 4, not the disliked 5."""
    user_nums, book_nums = [0, 0, 0, 1, 1, 1], [0, 1, 2, 3, 4, 5]
    parts = [Part.TRAIN, Part.TEST, Part.TEST, Part.VALIDATION, Part.TEST, Part.TEST]
    dataset = Dataset(
        users=Vocabulary(np.arange(2)),
        books=Vocabulary(np.arange(N_BOOKS)),
        catalogue=pa.table({"book_id": np.arange(N_BOOKS)}),
        user_nums=np.array(user_nums, np.int32),
        book_nums=np.array(book_nums, np.int32),
        weights=np.array([1, 1, 1, 1, 1, 0], np.float32),
        parts=np.array(parts, np.int8),
        ordered=True,
    )
    return Judge(dataset, np.array([0, 1]))


def lists(*books: list[int]) -> list[np.ndarray]:
    return [np.array(one, np.int32) for one in books]


def test_perfect_lists_score_one():
    row = judge().row("m", lists([2, 1], [4]), 1.0)
    assert (row.ndcg_at_10, row.recall_at_20) == (1, 1)
    assert row.coverage_at_10 == pytest.approx(3 / N_BOOKS)


def test_a_disliked_test_book_is_no_hit():
    assert judge().ndcg(lists([1, 2], [5])).tolist() == [1, 0]


def test_a_met_book_is_refused():
    with pytest.raises(AssertionError):
        judge().row("m", lists([1], [3]), 1.0)


def test_a_book_twice_is_refused():
    with pytest.raises(AssertionError):
        judge().row("m", lists([1, 1], [4]), 1.0)


def test_a_reader_without_a_list_scores_zero():
    assert judge().ndcg(lists([], [4])).tolist() == [0, 1]


def test_ratio_of_a_model_to_itself_is_one():
    values = np.random.default_rng(1).random(50)
    assert ratio(values, values) == (1, 1, 1)


def test_ratio_lies_within_its_interval():
    rng = np.random.default_rng(1)
    theirs = rng.random(200)
    value, low, high = ratio(theirs + rng.random(200), theirs)
    assert 1 < low < value < high
