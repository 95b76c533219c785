import numpy as np
import pytest

from pipelines.data.interactions import History, Interactions, TrainingData
from pipelines.models.base import rank
from pipelines.models.user_knn import UserKnnConfig, UserKnnRecommender
from tests.factories import wordless_books

N_READERS, N_BOOKS = 60, 30


def random_board():
    rng = np.random.default_rng(5)
    readers, books = np.nonzero(rng.random((N_READERS, N_BOOKS)) < 0.2)
    weights = rng.choice([0.0, 0.5, 1.0], len(readers)).astype(np.float32)
    return Interactions.build(readers, books, weights, (N_READERS, N_BOOKS))


def fitted(board, *, ordered=False, **config):
    data = TrainingData(board, wordless_books(board.n_books), ordered=ordered)
    return UserKnnRecommender(UserKnnConfig(**config)).fit(data, rng=np.random.default_rng(0))


def expected_scores(board, history, config):
    """The formula of the docstring, a reader at a time."""
    x = board.liked.toarray().astype(np.float64)
    p = np.zeros(board.n_books)
    p[history.book_nums] = history.weights
    with np.errstate(divide="ignore"):
        by_book = np.where(x.sum(axis=0) > 0, x.sum(axis=0) ** -config.item_exponent, 0)
        by_candidate = np.where(x.sum(axis=0) > 0, x.sum(axis=0) ** -config.candidate_exponent, 0)
    alike = np.array(
        [(p * by_book) @ row / (row.sum() ** config.user_exponent + config.shrinkage) for row in x]
    )
    near = sorted(range(len(x)), key=lambda u: (-alike[u], u))[: config.k_neighbors]
    return sum(alike[u] * x[u] for u in near) * by_candidate


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"k_neighbors": 5},
        {"shrinkage": 0, "item_exponent": 0, "candidate_exponent": 0, "user_exponent": 0.5},
        {"shrinkage": 20, "item_exponent": 1, "candidate_exponent": 0.7, "user_exponent": 1},
    ],
)
def test_scores_follow_the_formula(config):
    board, model = random_board(), fitted(random_board(), **config)
    for history in [History.of([3, 9]), *board.histories(range(5))]:
        expected = expected_scores(board, history, model.config)
        got = model.score(history)
        assert np.maximum(got, 0) == pytest.approx(expected, rel=1e-4)
        assert np.isinf(got[expected == 0]).all()


def test_the_own_row_of_a_known_reader_says_nothing_of_unseen_books():
    board = random_board()
    others, history = board.matrix.copy(), board.history(7)
    others.data[others.indptr[7] : others.indptr[8]] = 0
    # Popularity counts the own row, so it is left out of the scores here.
    even = {"item_exponent": 0, "candidate_exponent": 0}
    with_own = fitted(board, k_neighbors=11, **even).recommend([history], N_BOOKS)[0]
    without = fitted(Interactions(others), k_neighbors=10, **even).recommend([history], N_BOOKS)[0]
    assert len(with_own) > 0
    assert with_own.book_nums.tolist() == without.book_nums.tolist()
    assert with_own.scores == pytest.approx(without.scores)


def test_of_equally_alike_readers_the_first_are_neighbours():
    board = Interactions.build(
        np.array([0, 0, 1, 1, 2, 2]), np.array([0, 1, 0, 2, 0, 3]), np.ones(6, np.float32), (3, 4)
    )
    ranked = fitted(board, k_neighbors=2).recommend([History.of([0])], 4)[0]
    assert ranked.book_nums.tolist() == [1, 2]


def test_history_without_a_liked_book_gives_an_empty_list():
    met = History(np.array([1, 2], np.int32), np.zeros(2, np.float32))
    assert len(fitted(random_board()).recommend([met, History.of([])], 5)[0]) == 0


def test_book_of_no_other_reader_has_no_neighbours():
    board = Interactions.build(
        np.array([0, 1, 1]), np.array([0, 1, 2]), np.array([0, 1, 1], np.float32), (2, 3)
    )
    assert len(fitted(board).recommend([History.of([0])], 5)[0]) == 0


def test_recent_books_choose_the_neighbours_where_the_order_is_known():
    board = Interactions.build(
        np.array([0, 0, 1, 1]), np.array([0, 2, 1, 3]), np.ones(4, np.float32), (2, 4)
    )
    first_then_second = History.of([0, 1])
    scores = fitted(board, ordered=True, recency=1).score(first_then_second)
    assert scores[3] > scores[2]
    unordered = fitted(board, recency=1).score(first_then_second)
    assert unordered[3] == unordered[2]


def bases(array):
    """What an array is a view of, and what that is a view of."""
    while (array := getattr(array, "base", None)) is not None:
        yield array


def test_loaded_matrices_are_mapped(tmp_path):
    fitted(random_board()).save(tmp_path / "model")
    loaded = UserKnnRecommender.load(tmp_path / "model")
    for matrix in (loaded.likeness_, loaded.votes_):
        for part in (matrix.data, matrix.indices, matrix.indptr):
            assert any(isinstance(base, np.memmap) for base in bases(part))
            assert not part.flags.writeable


def test_beats_popularity_on_readers_of_two_tastes():
    rng = np.random.default_rng(1)
    taste = np.arange(N_READERS) % 2
    likes = rng.random((N_READERS, N_BOOKS)) < np.where(
        (np.arange(N_BOOKS) % 2 == taste[:, np.newaxis]), 0.5, 0.05
    )
    readers, books = np.nonzero(likes)
    board = Interactions.build(
        readers, books, np.ones(len(readers), np.float32), (N_READERS, N_BOOKS)
    )
    scores = fitted(board).score(History.of([0, 2, 4]))
    best = rank(scores, 5, np.array([0, 2, 4], np.int32)).book_nums
    assert (best % 2 == 0).all()
