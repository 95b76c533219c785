from dataclasses import replace

import numpy as np
import pytest

from pipelines.data.interactions import History, Interactions, TrainingData
from pipelines.models.popularity import (
    PopularityRecommender,
    RecentPopularityConfig,
    RecentPopularityRecommender,
)
from tests.factories import books_frame, small_interactions, wordless_books


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


def recent(days, weights, half_life_days=10.0):
    """Scores of books 0, 1, 2..., each liked by a reader of their own on these days."""
    n = len(weights)
    nums, weights = np.arange(n), np.array(weights, np.float32)
    days = None if days is None else np.array(days, np.float32)
    data = TrainingData(
        Interactions.build(nums, nums, weights, (n, n), days), wordless_books(n), ordered=True
    )
    model = RecentPopularityRecommender(RecentPopularityConfig(half_life_days=half_life_days))
    return model.fit(data, rng=np.random.default_rng(0)).scores_


def test_a_liking_counts_half_after_each_half_life():
    assert recent([100, 90, 80], [1, 1, 0.5]) == pytest.approx(np.log1p([1, 0.5, 0.125]))


def test_only_differences_of_time_matter():
    assert recent([100, 90], [1, 1]) == pytest.approx(recent([-300, -310], [1, 1]))


def test_newest_liking_is_the_present_whatever_was_met_after_it():
    assert recent([100, 90, 150], [1, 1, 0]) == pytest.approx(np.log1p([1, 0.5, 0]))
    assert recent([100, 90, -1e5], [1, 1, 0]) == pytest.approx(np.log1p([1, 0.5, 0]))


def test_liking_of_unknown_time_counts_as_the_oldest():
    assert recent([100, np.nan, 80], [1, 1, 1]) == pytest.approx(np.log1p([1, 0.25, 0.25]))


@pytest.mark.parametrize("days", [None, [np.nan, np.nan, 90]])
def test_without_times_of_likings_it_is_plain_popularity(days):
    assert recent(days, [1, 0.5, 0]) == pytest.approx(np.log1p([1, 0.5, 0]))


def test_nothing_liked_at_all_is_no_error():
    assert recent([100, 90], [0, 0]).tolist() == [0, 0]


def test_very_old_likings_do_not_become_numbers_that_are_none():
    assert recent([1e6, 0], [1, 1], 1e-3).tolist() == pytest.approx([np.log(2), 0])


def test_saved_model_keeps_its_half_life(tmp_path):
    data = TrainingData(replace(small_interactions(), days=None), books_frame())
    model = RecentPopularityRecommender(RecentPopularityConfig(half_life_days=7))
    model.fit(data, rng=np.random.default_rng(0)).save(tmp_path / "model")
    assert RecentPopularityRecommender.load(tmp_path / "model").config.half_life_days == 7
