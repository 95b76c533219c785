import numpy as np
import pytest

from pipelines.data.interactions import History, TrainingData
from pipelines.models.popularity import PopularityRecommender
from tests.factories import books_frame, small_interactions


@pytest.fixture(scope="module")
def model():
    data = TrainingData(small_interactions(), books_frame())
    return PopularityRecommender().fit(data, rng=np.random.default_rng(0))


def test_most_liked_first_ties_by_book_num(model):
    ranked = model.recommend([History.of([])], 7)[0]
    # 0 and 1 were liked twice; 7 was liked once and once only met.
    assert ranked.book_nums.tolist() == [0, 1, 2, 3, 4, 7, 8]
    assert ranked.scores == pytest.approx(np.log1p([2, 2, 1, 1, 1, 1, 1]))


def test_history_changes_nothing_but_what_is_seen(model):
    assert model.recommend([History.of([0])], 2)[0].book_nums.tolist() == [1, 2]


def test_lists_can_be_filled_to_the_last_book(model):
    assert len(model.recommend([History.of([])], 100)[0]) == 12
