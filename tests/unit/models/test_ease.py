import os

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from pipelines.data.interactions import History, Interactions, TrainingData
from pipelines.errors import ConfigurationError, ModelError
from pipelines.models import ease
from pipelines.models.ease import EaseConfig, EaseRecommender
from tests.factories import wordless_books

N_READERS, N_BOOKS = 80, 40
NO_TEXTS = {"authors": 0, "series": 0, "genres": 0, "title": 0, "description": 0}


def random_board(share=0.2, n_books=N_BOOKS):
    rng = np.random.default_rng(5)
    readers, books = np.nonzero(rng.random((N_READERS, n_books)) < share)
    weights = rng.choice([0.0, 0.5, 1.0], len(readers)).astype(np.float32)
    return Interactions.build(readers, books, weights, (N_READERS, n_books))


def board_of(readers, books, weights=None, shape=None):
    readers, books = np.array(readers, int), np.array(books, int)
    weights = np.ones(len(books), np.float32) if weights is None else np.float32(weights)
    return Interactions.build(readers, books, weights, shape or (readers.max() + 1, N_BOOKS))


def fitted(board, books=None, *, ordered=False, **config):
    texts = wordless_books(board.n_books) if books is None else books
    data = TrainingData(board, texts, ordered=ordered)
    return EaseRecommender(EaseConfig(**config)).fit(data, rng=np.random.default_rng(0))


def by_authors(authors):
    """Books of which nothing but one author is written."""
    return wordless_books(len(authors)).assign(authors=[[author] for author in authors])


def weights_of(model):
    """W as a dense matrix."""
    rows = [model.similarity(book) for book in range(len(model.indptr_) - 1)]
    return np.where(np.isfinite(rows), rows, 0)


def closed_form(board, *, regularization=20.0, user_exponent=0.25, beside=0.0):
    """The formula of the docstring, in float64; `beside` is what texts add to the Gram matrix."""
    x = board.liked.toarray().astype(np.float64)
    x = x[x.sum(axis=1) > 0]
    x /= x.sum(axis=1, keepdims=True) ** user_exponent
    inverse = np.linalg.inv(x.T @ x + beside + regularization * np.eye(board.n_books))
    expected = -inverse / np.diag(inverse)
    np.fill_diagonal(expected, 0)
    return expected


@pytest.mark.parametrize(
    "config",
    [{}, {"regularization": 0.5}, {"user_exponent": 0}, {"user_exponent": 1, "regularization": 3}],
)
def test_dense_solver_is_the_closed_form(config):
    board = random_board()
    model = fitted(board, solver="dense", **config)
    assert weights_of(model) == pytest.approx(closed_form(board, **config), rel=1e-3, abs=1e-6)


def test_an_author_is_one_more_reader_of_all_their_books():
    authors = np.arange(N_BOOKS) // 3
    together = np.equal.outer(authors, authors).astype(np.float64)
    model = fitted(random_board(), by_authors([f"Author {a}" for a in authors]), authors=2)
    expected = closed_form(random_board(), beside=2 * together)
    assert weights_of(model) == pytest.approx(expected, rel=1e-3, abs=1e-6)


def test_neighbourhoods_of_all_books_give_what_the_dense_solver_gives():
    board = random_board(share=0.7)  # so that every two books share a reader
    dense, sparse = (
        fitted(board, solver=solver, neighborhood_size=N_BOOKS, user_exponent=0.5)
        for solver in ("dense", "neighborhoods")
    )
    assert weights_of(sparse) == pytest.approx(weights_of(dense), rel=1e-3, abs=1e-6)


def test_column_of_a_neighbourhood_is_the_ridge_regression_on_its_books():
    board = random_board(share=0.7)  # so that every two books share a reader
    half = N_BOOKS // 2
    model = fitted(board, solver="neighborhoods", neighborhood_size=half, user_exponent=0)
    x = board.liked.toarray().astype(np.float64)
    gram, weights = x.T @ x, weights_of(model)
    for book in range(N_BOOKS):
        nearness = gram[book] / np.sqrt(np.diag(gram) + 20)
        nearness[book] = -np.inf
        near = np.argsort(-nearness, kind="stable")[:half]
        regularized = gram[np.ix_(near, near)] + 20 * np.eye(half)
        expected = np.linalg.solve(regularized, gram[near, book])
        assert weights[near, book] == pytest.approx(expected, rel=1e-3, abs=1e-6)
        assert np.count_nonzero(weights[:, book]) <= half


def test_truncated_gram_matrix_stays_symmetric():
    data = TrainingData(random_board(), wordless_books(N_BOOKS))
    model = EaseRecommender(EaseConfig(neighborhood_size=1))
    gram, _ = model._sparse_gram(model._readers(data), model._documents(data))
    dense = gram.toarray()
    assert (dense == dense.T).all()
    assert 0 < np.count_nonzero(dense) < 8 * N_BOOKS


@pytest.mark.parametrize("solver", ["dense", "neighborhoods"])
class TestBothSolvers:
    def test_side_information_speaks_for_a_book_without_readers(self, solver):
        board = board_of([0, 0, 1, 1], [1, 2, 1, 2])
        books = by_authors(["Ann", "Ann", *(f"Author {b}" for b in range(2, N_BOOKS))])
        model = fitted(board, books, solver=solver)
        assert model.similarity(1)[0] > 0
        assert model.recommend([History.of([1])], 5)[0].book_nums.tolist() == [0, 2]
        without = fitted(board, books, solver=solver, authors=0)
        assert np.isinf(without.similarity(1)[0])

    def test_catalogue_without_a_word_is_what_no_weight_on_words_is(self, solver):
        wordless = fitted(random_board(), solver=solver)
        unweighted = fitted(random_board(), solver=solver, **NO_TEXTS)
        assert wordless.weights_.tobytes() == unweighted.weights_.tobytes()
        assert len(wordless.weights_)

    def test_readers_of_one_book_say_nothing_of_others(self, solver):
        model = fitted(board_of([0, 1, 2], [0, 0, 1]), solver=solver)
        assert len(model.weights_) == 0
        assert len(model.recommend([History.of([0])], 5)[0]) == 0

    def test_book_of_a_single_reader_stands_by_their_other_book(self, solver):
        model = fitted(board_of([0, 0], [3, 7]), solver=solver)
        assert model.recommend([History.of([3])], 5)[0].book_nums.tolist() == [7]

    @pytest.mark.parametrize("rows", [([0, 1], [0, 1]), ([], [])])
    def test_where_nobody_likes_anything_there_is_nothing_to_say(self, solver, rows):
        board = board_of(*rows, np.zeros(len(rows[0])), (5, N_BOOKS))
        model = fitted(board, solver=solver)
        assert np.isneginf(model.score(History.of([0, 1]))).all()
        assert np.isneginf(model.similarity(0)).all()

    def sharp(self, board, solver, k):
        """So little regularized that negative weights are as large as positive ones."""
        return fitted(board, solver=solver, k_neighbors=k, regularization=0.1)

    def test_only_the_largest_weights_are_kept_whatever_their_sign(self, solver):
        board = random_board()
        few, whole = (self.sharp(board, solver, k) for k in (4, N_BOOKS))
        for kept, full in zip(weights_of(few), weights_of(whole), strict=True):
            largest = np.argsort(-np.abs(full), kind="stable")[:4]
            expected = np.zeros(N_BOOKS)
            expected[largest] = full[largest]
            assert kept == pytest.approx(expected)
        assert (few.weights_ < 0).any()

    def test_no_more_than_that_are_kept_of_equal_ones(self, solver):
        everyone_likes_all = board_of(np.repeat(range(3), 6), np.tile(range(6), 3), shape=(3, 6))
        model = fitted(everyone_likes_all, solver=solver, k_neighbors=2)
        assert np.diff(model.indptr_).tolist() == [2] * 6

    def test_neither_blocks_nor_cores_show(self, solver, monkeypatch):
        whole = fitted(random_board(), solver=solver, k_neighbors=7)
        monkeypatch.setattr("pipelines.models.item_weights.BLOCK_ROWS", 7)
        monkeypatch.setattr(os, "cpu_count", lambda: 1)
        with threadpool_limits(1):
            in_blocks = fitted(random_board(), solver=solver, k_neighbors=7)
        assert in_blocks.indices_.tobytes() == whole.indices_.tobytes()
        assert in_blocks.weights_ == pytest.approx(whole.weights_, rel=1e-5)

    def test_neighbours_stand_in_ascending_order(self, solver):
        model = fitted(random_board(), solver=solver, k_neighbors=5)
        rows = np.split(model.indices_, model.indptr_[1:-1])
        assert all((np.diff(row) > 0).all() for row in rows)
        assert (model.indices_.dtype, model.weights_.dtype) == (np.int32, np.float32)

    def test_saved_and_opened_it_says_the_same(self, solver, tmp_path):
        model = fitted(random_board(), ordered=True, solver=solver)
        model.save(tmp_path / "model")
        loaded = EaseRecommender.load(tmp_path / "model")
        history = History.of([3, 1, 20])
        assert loaded.config == model.config
        assert loaded.score(history).tobytes() == model.score(history).tobytes()
        assert loaded.similarity(3).tobytes() == model.similarity(3).tobytes()


def test_larger_catalogue_than_allowed_is_refused_by_the_dense_solver():
    with pytest.raises(ConfigurationError, match="use the solver neighborhoods"):
        fitted(random_board(), solver="dense", max_dense_books=N_BOOKS - 1)
    assert len(fitted(random_board(), solver="dense", max_dense_books=N_BOOKS).weights_)


def test_dense_solver_that_does_not_fit_into_memory_is_refused(monkeypatch):
    monkeypatch.setattr(ease, "DENSE_COPIES", 1e12)
    with pytest.raises(ConfigurationError, match="GiB"):
        fitted(random_board(), solver="dense")
    assert len(fitted(random_board(), solver="auto").weights_)


@pytest.mark.parametrize(
    ("max_dense", "affordable", "solver"),
    [
        (N_BOOKS, N_BOOKS, "dense"),
        (N_BOOKS - 1, N_BOOKS, "neighborhoods"),
        (N_BOOKS, N_BOOKS - 1, "neighborhoods"),
    ],
)
def test_solver_follows_the_size_of_the_catalogue(max_dense, affordable, solver, monkeypatch):
    monkeypatch.setattr(ease, "AFFORDABLE_BOOKS", affordable)
    chosen = fitted(random_board(), neighborhood_size=3, max_dense_books=max_dense)
    asked = fitted(random_board(), neighborhood_size=3, solver=solver)
    assert chosen.weights_.tobytes() == asked.weights_.tobytes()


def test_books_that_nothing_tells_apart_need_regularization():
    same = board_of(np.repeat(range(4), 2), np.tile(range(2), 4), shape=(4, 2))
    with pytest.raises(ModelError, match="raise the regularization"):
        fitted(same, solver="dense", regularization=1e-12, user_exponent=0)


def test_score_is_the_weighted_sum_of_rows():
    model = fitted(random_board(), k_neighbors=10)
    weights, history = weights_of(model), History(np.array([9, 3], np.int32), np.float32([0.5, 1]))
    expected = 0.5 * weights[9] + weights[3]
    got = model.score(history)
    assert got[expected != 0] == pytest.approx(expected[expected != 0], rel=1e-4)
    assert np.isneginf(got[expected == 0]).all()
    assert (expected == 0).any()


def test_the_order_of_a_history_counts_only_where_it_is_known():
    forward, backward = History.of([1, 2, 3]), History.of([3, 2, 1])
    unordered, ordered = (fitted(random_board(), ordered=known) for known in (False, True))
    assert unordered.score(forward).tobytes() == unordered.score(backward).tobytes()
    assert ordered.score(forward).tobytes() != ordered.score(backward).tobytes()
