import numpy as np
import pytest

from pipelines.data.interactions import History, Interactions, TrainingData
from pipelines.models.item_knn import ItemKnnConfig, ItemKnnRecommender
from tests.factories import wordless_books


def random_board(n_readers=40, n_books=30, seed=5):
    rng = np.random.default_rng(seed)
    readers, books = np.nonzero(rng.random((n_readers, n_books)) < 0.2)
    weights = rng.choice([0.0, 0.5, 1.0], len(readers)).astype(np.float32)
    return Interactions.build(readers, books, weights, (n_readers, n_books))


def fitted(interactions, **config):
    data = TrainingData(interactions, wordless_books(interactions.n_books))
    model = ItemKnnRecommender(ItemKnnConfig(**config))
    return model.fit(data, rng=np.random.default_rng(0))


def dense_similarity(interactions, config):
    """The formula of the docstring, written with dense matrices."""
    x = interactions.liked.toarray().astype(np.float64)
    n_u, n_i = x.sum(axis=1), x.sum(axis=0)
    x_u = x[n_u > 0]
    shared = x_u.T @ (x_u / n_u[n_u > 0, np.newaxis] ** config.user_exponent)
    n_i += config.shrinkage
    bound = np.outer(n_i**config.item_exponent, n_i**config.candidate_exponent)
    with np.errstate(invalid="ignore"):
        similarity = np.nan_to_num(shared / bound)
    np.fill_diagonal(similarity, 0)
    return similarity


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"shrinkage": 0},
        {"user_exponent": 0, "item_exponent": 0, "candidate_exponent": 0},
        {"user_exponent": 1, "item_exponent": 0.7, "candidate_exponent": 0.2, "shrinkage": 10},
    ],
)
def test_weights_follow_the_formula(config):
    board = random_board()
    model = fitted(board, **config)
    expected = dense_similarity(board, model.config)
    for book in range(board.n_books):
        got = np.maximum(model.similarity(book), 0)
        assert got == pytest.approx(expected[book], rel=1e-5)


def test_only_the_nearest_neighbours_are_kept():
    board = random_board()
    few, all_of_them = fitted(board, k_neighbors=4), fitted(board)
    for book in range(board.n_books):
        full = all_of_them.similarity(book)
        kept = np.flatnonzero(np.isfinite(few.similarity(book)))
        order = np.lexsort((np.arange(len(full)), -full))
        assert kept.tolist() == sorted(order[:4].tolist())


def test_equal_neighbours_are_kept_by_ascending_book_num():
    everyone_likes_all = Interactions.build(
        np.repeat(np.arange(3), 6), np.tile(np.arange(6)[::-1], 3), np.ones(18, np.float32), (3, 6)
    )
    model = fitted(everyone_likes_all, k_neighbors=2)
    assert np.flatnonzero(np.isfinite(model.similarity(0))).tolist() == [1, 2]
    assert np.flatnonzero(np.isfinite(model.similarity(5))).tolist() == [0, 1]


def test_number_of_cores_does_not_show(monkeypatch):
    board = random_board()
    monkeypatch.setattr("pipelines.models.item_weights.cores", lambda: 1)
    alone = fitted(board)
    monkeypatch.setattr("pipelines.models.item_weights.cores", lambda: 3)
    together = fitted(board)
    assert together.weights_.tobytes() == alone.weights_.tobytes()
    assert together.indices_.tobytes() == alone.indices_.tobytes()


def test_neighbours_stand_in_ascending_order():
    model = fitted(random_board(), k_neighbors=5)
    rows = np.split(model.indices_, model.indptr_[1:-1])
    assert all((np.diff(row) > 0).all() for row in rows)
    assert model.indices_.dtype == np.int32
    assert model.weights_.dtype == np.float32


def test_score_sums_weighted_similarities():
    board = random_board()
    model = fitted(board)
    history = History(np.array([9, 3], np.int32), np.array([0.5, 1], np.float32))
    expected = 0.5 * np.maximum(model.similarity(9), 0) + np.maximum(model.similarity(3), 0)
    got = model.score(history)
    assert np.maximum(got, 0) == pytest.approx(expected, rel=1e-5)
    assert np.isinf(got[expected == 0]).all()


def test_history_without_liked_books_gives_empty_list():
    model = fitted(random_board())
    met = History(np.array([1, 2], np.int32), np.zeros(2, np.float32))
    assert len(model.recommend([met], 5)[0]) == 0


def test_book_that_nobody_liked_is_never_recommended():
    board = Interactions.build(
        np.array([0, 0, 1]), np.array([0, 1, 2]), np.array([1, 1, 0], np.float32), (2, 3)
    )
    model = fitted(board)
    assert model.recommend([History.of([0])], 5)[0].book_nums.tolist() == [1]
    assert np.isinf(model.similarity(2)).all()
