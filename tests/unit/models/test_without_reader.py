import numpy as np
import pytest

from pipelines.data.interactions import Vocabulary
from pipelines.models.bundle import ModelBundle
from pipelines.models.user_knn import UserKnnRecommender
from tests.factories import N_BOOKS, USERS, bundle, checkerboard, checkerboard_data


@pytest.mark.parametrize("user", USERS)
def test_one_reader_becomes_a_stranger_and_others_keep_their_lists(user, tmp_path):
    whole = bundle()
    whole.without_reader(user).save(tmp_path / "without")
    without = ModelBundle.load(tmp_path / "without")
    assert list(without.users) == [u for u in USERS if u != user]
    assert without.recommend(user, 5) == whole.recommend("nobody", 5)
    for other in without.users:
        assert without.recommend(str(other), 5) == whole.recommend(str(other), 5)


def test_an_unknown_reader_changes_nothing():
    assert bundle().without_reader("nobody") is None


@pytest.mark.parametrize("ids", [["ann"], np.array([7])])
def test_the_last_id_leaves_an_empty_vocabulary_of_its_type(ids):
    users = Vocabulary(ids)
    left = users.without(next(iter(users)))
    assert (len(left), left.is_integer) == (0, users.is_integer)


def test_neighbours_lose_one_row_and_its_votes(tmp_path):
    data = checkerboard_data()
    fitted = UserKnnRecommender().fit(data, rng=np.random.default_rng(0))
    fitted.without_reader(3).save(tmp_path / "without")
    without = UserKnnRecommender.load(tmp_path / "without")
    assert without.votes_.shape == (N_BOOKS - 1, N_BOOKS)
    assert without.likeness_.shape == (N_BOOKS, N_BOOKS - 1)
    expected = np.delete(fitted.votes_.toarray(), 3, axis=0)
    np.testing.assert_array_equal(without.votes_.toarray(), expected)
    likeness = np.delete(fitted.likeness_.toarray(), 3, axis=1)
    np.testing.assert_array_equal(without.likeness_.toarray(), likeness)
    assert np.isfinite(without.score(checkerboard().history(0))).any()
