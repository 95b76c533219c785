import numpy as np
import pytest

from pipelines.data.interactions import History, Interactions, TrainingData
from pipelines.models.artifact import read_artifact, write_artifact
from pipelines.models.matrix_factorization import (
    MatrixFactorizationConfig,
    MatrixFactorizationRecommender,
)
from tests.factories import wordless_books


def fitted(seed=0, **config):
    rng = np.random.default_rng(3)
    readers, books = np.nonzero(rng.random((50, 20)) < 0.3)
    kept = books != 11  # a book that nobody met
    interactions = Interactions.build(
        readers[kept], books[kept], np.ones(kept.sum(), np.float32), (50, 20)
    )
    model = MatrixFactorizationRecommender(MatrixFactorizationConfig(embedding_size=6, **config))
    data = TrainingData(interactions, wordless_books(20))
    return model.fit(data, rng=np.random.default_rng(seed))


def test_reader_is_solved_for_by_the_normal_equations():
    model = fitted(alpha=3, regularization=0.5)
    history = History(np.array([4, 9, 2], np.int32), np.array([1, 0, 0.5], np.float32))
    y = model.factors_.astype(np.float64)
    confidence = np.ones(20)
    confidence[[4, 2]] += 3 * np.array([1, 0.5])
    liked = np.zeros(20)
    liked[[4, 2]] = 1
    normal = y.T @ np.diag(confidence) @ y + 0.5 * np.eye(6)
    expected = y @ np.linalg.solve(normal, y.T @ (confidence * liked))
    got = model.score(history)
    assert np.delete(got, 11) == pytest.approx(np.delete(expected, 11), abs=1e-5)


@pytest.mark.parametrize("n_liked", [0, 1, 5, 6, 17])
def test_contributions_are_the_terms_of_the_score(n_liked):
    """Of fewer books than there are factors, and of more."""
    model = fitted(alpha=3, regularization=0.5)
    liked = np.random.default_rng(0).permutation(20)[:n_liked].astype(np.int32)
    history = History(liked, np.linspace(0.1, 2, n_liked).astype(np.float32))
    asked = np.array([3, 5, 7], np.int32)
    got = model.contributions(history, asked)
    y, confidence = model.factors_.astype(np.float64), np.ones(20)
    confidence[history.liked.book_nums] += 3 * history.liked.weights
    inverse = np.linalg.inv((y.T * confidence) @ y + 0.5 * np.eye(6))
    expected = y[asked] @ inverse @ y[history.liked.book_nums].T
    expected *= confidence[history.liked.book_nums]
    assert got.shape == (3, n_liked)
    assert got == pytest.approx(expected, abs=1e-6)
    if n_liked:
        assert got.sum(axis=1) == pytest.approx(model.score(history)[asked], abs=1e-5)


def test_a_model_saved_before_factors_were_whitened_is_opened_as_before(tmp_path):
    model = fitted()
    model.save(tmp_path / "new")
    opened = MatrixFactorizationRecommender.load(tmp_path / "new")
    arrays = read_artifact(tmp_path / "new", model.name).arrays
    del arrays["whitened"]
    write_artifact(tmp_path / "old", model.name, model.config, arrays)
    old = MatrixFactorizationRecommender.load(tmp_path / "old")
    for other in (opened, old):
        assert other.whitened_.tobytes() == model.whitened_.tobytes()
        assert (
            other.score(History.of([1, 2])).tobytes() == model.score(History.of([1, 2])).tobytes()
        )


def test_book_that_nobody_liked_has_no_score():
    model = fitted()
    assert not model.factors_[11].any()
    assert model.score(History.of([1]))[11] == -np.inf
    assert model.similarity(1)[11] == -np.inf
    assert np.isinf(model.similarity(11)).all()
    assert np.isfinite(np.delete(model.score(History.of([11])), 11)).all()


def test_empty_history_gives_empty_list():
    assert len(fitted().recommend([History.of([])], 5)[0]) == 0


def test_another_seed_gives_another_model():
    assert fitted(seed=0).factors_.tobytes() != fitted(seed=1).factors_.tobytes()


def test_number_of_threads_does_not_change_the_model():
    assert fitted(threads=1).factors_.tobytes() == fitted(threads=2).factors_.tobytes()


def test_similarity_is_the_cosine():
    model = fitted()
    y = model.factors_
    expected = y[3] @ y[5] / np.linalg.norm(y[3]) / np.linalg.norm(y[5])
    assert model.similarity(3)[5] == pytest.approx(expected, rel=1e-5)


def test_fitting_is_silent(capfd):
    fitted()
    out, err = capfd.readouterr()
    assert (out, err) == ("", "")
