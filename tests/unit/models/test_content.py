import subprocess
import sys

import numpy as np
import pytest

from pipelines.data.interactions import History, TrainingData
from pipelines.models.content import ContentConfig, ContentRecommender
from tests.factories import books_frame, checkerboard, wordless_books


def fitted(books, **config):
    model = ContentRecommender(ContentConfig(**config))
    return model.fit(TrainingData(checkerboard(), books), rng=np.random.default_rng(0))


@pytest.fixture(scope="module")
def model():
    return fitted(books_frame())


def test_series_and_author_and_genre_stand_together(model):
    near = {0: {1, 2}, 4: {5}, 7: {8}}
    for book, expected in near.items():
        best = np.argsort(-model.similarity(book))[: len(expected)]
        assert set(best.tolist()) == expected


def test_history_of_one_genre_brings_that_genre(model):
    assert set(model.recommend([History.of([7, 8])], 1)[0].book_nums.tolist()) == {9}
    assert set(model.recommend([History.of([0, 1])], 2)[0].book_nums.tolist()) == {2, 3}


def test_vectors_have_unit_length(model):
    lengths = np.linalg.norm(model.index_.vectors(np.arange(12)), axis=1)
    assert lengths == pytest.approx(np.ones(12), rel=1e-5)


def test_score_is_the_cosine_with_the_weighted_mean(model):
    history = History(np.array([5, 0], np.int32), np.array([0.5, 1], np.float32))
    vectors = model.index_.vectors(np.arange(12))
    profile = (0.5 * vectors[5] + vectors[0]) / 1.5
    expected = vectors @ profile / np.linalg.norm(profile)
    assert model.score(history) == pytest.approx(expected, abs=1e-5)


def test_book_without_text_has_no_vector_and_no_score():
    books = books_frame()
    books.loc[6] = wordless_books(1).loc[0]
    model = fitted(books)
    assert len(model.index_) == 11
    assert model.score(History.of([0]))[6] == -np.inf
    assert model.similarity(0)[6] == -np.inf
    assert np.isinf(model.similarity(6)).all()
    assert np.isinf(model.score(History.of([6]))).all()
    assert model.score(History.of([0, 6])).tobytes() == model.score(History.of([0])).tobytes()
    assert model.contributions(History.of([0, 6]), np.array([1]))[0, 1] == 0
    assert model.contributions(History.of([0, 6]), np.array([6])).tolist() == [[0, 0]]


def test_catalogue_without_any_text_says_nothing(tmp_path):
    fitted(wordless_books()).save(tmp_path / "model")
    model = ContentRecommender.load(tmp_path / "model")
    assert np.isinf(model.score(History.of([0]))).all()
    assert np.isinf(model.similarity(0)).all()
    assert len(model.recommend([History.of([0])], 5)[0]) == 0


def test_similar_books_are_bounded():
    assert np.isfinite(fitted(books_frame(), n_similar=3).similarity(0)).sum() == 3


@pytest.mark.parametrize("size", [1, 2, 1000])
def test_size_is_what_the_data_allows(size):
    assert fitted(books_frame(), embedding_size=size).index_.size <= min(size, 12)


def test_opening_needs_no_scikit_learn_and_no_implicit():
    code = (
        "import sys, pipelines.models.bundle; "
        "print([m for m in ('sklearn', 'implicit', 'mlflow') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
