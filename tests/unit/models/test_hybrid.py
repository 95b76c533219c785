from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from pipelines.data.interactions import History, Interactions
from pipelines.errors import ConfigurationError
from pipelines.models.base import Recommender
from pipelines.models.hybrid import HybridConfig, HybridRecommender

NOTHING = -np.inf
READER = History.of([0])


class Says(Recommender):
    """A model that always says the same."""

    name = "says"

    def __init__(self, *scores):
        self.scores = np.array(scores, np.float32)

    def fit(self, data, *, rng):
        return self

    def score(self, history):
        return self.scores.copy()

    def save(self, folder: Path):
        raise NotImplementedError

    @classmethod
    def load(cls, folder: Path):
        raise NotImplementedError


class Knows(Says):
    """One that also knows neighbours and reasons."""

    def similarity(self, book_num):
        return self.scores.copy()

    def contributions(self, history, book_nums):
        return np.tile(self.scores[: len(history.liked)], (len(book_nums), 1))


def hybrid(**parts):
    """Parts as (weight, model)."""
    weights = {name: weight for name, (weight, _) in parts.items()}
    models = {name: model for name, (_, model) in parts.items()}
    return HybridRecommender(HybridConfig(weights=weights), models)


def test_scores_are_weighted_means_on_a_common_scale():
    model = hybrid(a=(3, Says(9, 1, 2, 3)), b=(1, Says(0, 400, 100, 200)))
    # Book 0 is met: its 9 does not stretch the scale, and it counts as the best there is.
    assert model.score(READER) == pytest.approx([0.75, 0.25, 0.75 * 0.5**0.5, 0.75 + 0.25 / 3**0.5])


def test_silence_about_a_book_counts_as_nothing():
    model = hybrid(a=(1, Says(0, 1, 2, NOTHING)), b=(1, Says(NOTHING, NOTHING, 1, 2)))
    assert model.score(READER)[1:] == pytest.approx([0, 0.5, 0.5])


def test_book_that_no_part_speaks_of_has_no_score():
    model = hybrid(a=(1, Says(1, 2, NOTHING)), b=(1, Says(1, NOTHING, NOTHING)))
    assert model.score(READER)[2] == NOTHING


def test_silent_part_leaves_its_weight_to_the_others():
    silent = Says(NOTHING, NOTHING, NOTHING)
    with_it = hybrid(a=(0.1, Says(1, 2, 3)), b=(0.9, silent)).score(READER)
    assert with_it.tolist() == hybrid(a=(1, Says(1, 2, 3))).score(READER).tolist()


def test_all_parts_silent_gives_empty_list():
    model = hybrid(a=(1, Says(NOTHING, NOTHING)))
    assert len(model.recommend([READER], 5)[0]) == 0


def test_part_of_weight_zero_is_not_heard():
    model = hybrid(a=(1, Says(1, 2, NOTHING)), b=(0, Says(1, 2, 3)))
    assert model.score(READER)[2] == NOTHING


def test_equal_scores_count_as_the_best():
    assert hybrid(a=(1, Says(5, 5, 5))).score(READER).tolist() == [1, 1, 1]


def test_only_parts_that_know_are_asked_for_similar_books():
    model = hybrid(a=(0.5, Says(9, 9, 1)), b=(0.5, Knows(NOTHING, 4, 2)))
    assert model.similarity(0).tolist() == [NOTHING, 1, 0]


def test_without_such_parts_nothing_is_similar():
    assert hybrid(a=(1, Says(1, 2, 3))).similarity(0).tolist() == [NOTHING] * 3


def test_such_parts_are_asked_even_if_none_has_weight():
    model = hybrid(a=(1, Says(1, 2, 3)), b=(0, Knows(NOTHING, 4, 2)))
    assert model.similarity(0).tolist() == [NOTHING, 1, 0]


def test_contributions_are_weighted_shares():
    model = hybrid(a=(3, Knows(1, 1, -5)), b=(1, Knows(0, 30, 10)), c=(5, Says(1, 1, 1)))
    history = History.of([0, 1, 2])
    assert model.contributions(history, np.array([1]))[0] == pytest.approx([1.5, 1.5 + 0.75, 0.25])


def test_order_of_parts_does_not_matter():
    rng = np.random.default_rng(0)
    a, b, c = (Says(*rng.random(9)) for _ in range(3))
    one = hybrid(a=(0.3, a), b=(0.6, b), c=(0.1, c)).score(READER)
    other = hybrid(c=(0.1, c), b=(0.6, b), a=(0.3, a)).score(READER)
    assert one.tobytes() == other.tobytes()


def test_weights_must_fit_the_parts():
    with pytest.raises(ConfigurationError, match="do not fit"):
        HybridRecommender(HybridConfig(weights={"a": 1}), {"b": Says(1)})


@pytest.mark.parametrize("weights", [{}, {"a": 0}, {"a": -1, "b": 2}, {"a": float("nan")}])
def test_weights_must_be_some_and_not_negative(weights):
    with pytest.raises(ValidationError):
        HybridConfig(weights=weights)


def test_weights_follow_the_number_of_liked_books():
    config = HybridConfig(
        weights={"a": 1, "b": 0},
        by_history={2: {"a": 0, "b": 1}, 4: {"a": 1, "b": 1}},
    )
    model = HybridRecommender(config, {"a": Says(1, 0, 0, 0), "b": Says(0, 1, 0, 0)})
    unmet = History(np.array([3], np.int32), np.array([0], np.float32))
    assert model.score(unmet).argmax() == 0
    assert model.score(History.of([2])).argmax() == 0
    assert model.score(History.of([2, 3])).argmax() == 1
    assert config.weights_for(5) == {"a": 1, "b": 1}


def test_buckets_of_other_parts_are_refused():
    with pytest.raises(ValidationError, match="same parts"):
        HybridConfig(weights={"a": 1}, by_history={5: {"b": 1}})


def test_damping_takes_off_what_each_book_must_reach():
    model = hybrid(a=(1, Says(9, 1, 0, NOTHING)))
    model.thresholds_ = np.array([0, 0.75, 0, 0.5], np.float32)
    assert model.score_damped(READER, 1)[1:].tolist() == [0.25, 0, NOTHING]
    assert model.score(READER)[1:].tolist() == [1, 0, NOTHING]


def test_damping_leaves_the_list_of_an_unknown_taste_alone():
    model = hybrid(a=(1, Says(0, 1, 0.25)))
    model.thresholds_ = np.ones(3, np.float32)
    assert model.score_damped(History.of([]), 1).tolist() == model.score(History.of([])).tolist()


def test_a_book_that_suits_everybody_must_reach_more():
    class Suits(Says):
        def score(self, history):
            own = np.zeros(30, np.float32)
            own[[0, 1 + int(history.book_nums[0])]] = 1, 0.9
            return own

    readers = Interactions.build(np.arange(20), np.arange(20), np.ones(20, np.float32), (20, 30))
    model = HybridRecommender(HybridConfig(weights={"a": 1}, damping=1.0), {"a": Suits()})
    model.fit_exposure(readers, rng=np.random.default_rng(0))
    lists = model.recommend(readers.histories(range(20)), 1)
    assert {int(one.book_nums[0]) for one in lists} == set(range(1, 21))
    assert model.thresholds_[0] == 1


class Reads(Says):
    """One that knows the catalogue, and so new books."""

    scores_new_books = True


def with_new_books(share, *, new=(3,), **parts):
    model = hybrid(**parts)
    model.config = model.config.model_copy(update={"new_books": share})
    model.new_ = np.array(new, np.int32)
    return model


BEHAVIOUR = Says(9, 1, 0.5, NOTHING, 0)
CATALOGUE = Reads(9, 0, 0.25, 1, NOTHING)


@pytest.mark.parametrize(("share", "expected"), [(0, 0.25), (0.5, 0.625), (1, 1)])
def test_of_a_new_book_parts_that_cannot_know_it_are_left_out(share, expected):
    model = with_new_books(share, a=(3, BEHAVIOUR), b=(1, CATALOGUE))
    assert model.score(READER)[3] == pytest.approx(expected)


def test_other_books_keep_their_scores_beside_new_ones():
    trusting = with_new_books(1, a=(3, BEHAVIOUR), b=(1, CATALOGUE)).score(READER)
    assert np.delete(trusting, 3).tolist() == [
        *np.delete(hybrid(a=(3, BEHAVIOUR), b=(1, CATALOGUE)).score(READER), 3)
    ]


def test_a_part_that_knows_new_books_and_is_silent_about_one_still_counts():
    silent = Reads(9, 1, 0.25, NOTHING, 0)
    model = with_new_books(1, a=(2, BEHAVIOUR), b=(1, CATALOGUE), c=(1, silent))
    assert model.score(READER)[3] == pytest.approx(0.5)


@pytest.mark.parametrize(
    "parts", [{"a": (1, BEHAVIOUR)}, {"a": (3, BEHAVIOUR), "b": (0, CATALOGUE)}]
)
def test_where_no_part_knows_new_books_nothing_changes(parts):
    trusting = with_new_books(1, **parts).score(READER)
    assert trusting.tolist() == hybrid(**parts).score(READER).tolist()
    assert trusting[3] == NOTHING


def test_no_score_of_a_new_book_exceeds_the_scale():
    """Whatever a part says of new books without saying that it can."""
    model = with_new_books(1, a=(3, Says(9, 0, 0, 1)), b=(1, Reads(9, 0, 0, 1)))
    assert model.score(READER)[3] == 1


def test_new_books_are_those_that_nobody_has_met():
    met = Interactions.build(
        np.array([0, 1]), np.array([0, 2]), np.array([1, 0], np.float32), (2, 4)
    )
    assert hybrid(a=(1, Says(1, 2, 3, 4))).fit_new_books(met).new_.tolist() == [1, 3]
