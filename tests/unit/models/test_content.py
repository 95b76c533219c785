import subprocess
import sys

import numpy as np
import pytest
import structlog
from pydantic import ValidationError

from pipelines.data.interactions import History, TrainingData
from pipelines.errors import ConfigurationError, EmbeddingError
from pipelines.models.artifact import read_manifest
from pipelines.models.content import ContentConfig, ContentRecommender
from pipelines.models.documents import FieldWeights, book_texts, document_matrix
from tests.factories import books_frame, checkerboard, wordless_books
from tests.unit.models.embeddings.ollama_stub import running


@pytest.fixture(autouse=True)
def _no_ollama_of_this_machine(monkeypatch):
    monkeypatch.delenv("OLLAMA_HOST", raising=False)


def fitted(books, **config):
    # Not what else may be set up on this machine.
    model = ContentRecommender(ContentConfig(**{"providers": ("ollama", "tfidf")} | config))
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


def test_score_is_the_mean_of_sharpened_cosines():
    model = fitted(books_frame(), sharpness=3)
    matrix = document_matrix(books_frame(), FieldWeights(), 20_000).toarray()
    unit = matrix / np.linalg.norm(matrix, axis=1, keepdims=True)
    history = History(np.array([5, 0, 7], np.int32), np.array([0.5, 1, 0], np.float32))
    cosines = unit @ unit.T
    np.fill_diagonal(cosines, 0)
    expected = (0.5 * cosines[5] ** 3 + cosines[0] ** 3) / 1.5
    scores = model.score(history)
    assert scores[scores > 0] == pytest.approx(expected[scores > 0], rel=1e-4)
    assert np.isinf(scores[expected < 1e-9]).all()


def test_sharpness_lets_one_near_book_outweigh_many_distant_ones():
    history = History.of([0, 4, 5, 6])  # one wizard, three space ships
    blunt, sharp = (fitted(books_frame(), sharpness=p).score(history) for p in (1, 16))
    assert sharp[2] / sharp[3] > blunt[2] / blunt[3] > 1


def test_book_without_text_has_no_vector_and_no_score():
    books = books_frame()
    books.loc[6] = wordless_books(1).loc[0]
    model = fitted(books)
    assert len(model.index_) == 11
    assert model.score(History.of([0]))[6] == -np.inf
    assert model.similarity(0)[6] == -np.inf
    assert np.isinf(model.similarity(6)).all()
    assert np.isinf(model.score(History.of([6]))).all()
    assert model.contributions(History.of([0, 6]), np.array([1]))[0, 1] == 0
    assert model.contributions(History.of([0, 6]), np.array([6])).tolist() == [[0, 0]]


def test_number_of_neighbours_is_bounded():
    model = fitted(books_frame(), k_neighbors=3)
    assert np.isfinite(model.similarity(0)).sum() == 3


def test_large_catalogue_is_searched_by_a_graph():
    exact, graph = fitted(books_frame()), fitted(books_frame(), approximate_from=1)
    assert graph.index_.facts.kind == "hnsw"
    assert graph.score(History.of([0, 7])).tobytes() == exact.score(History.of([0, 7])).tobytes()


def test_single_book_is_near_to_nothing(tmp_path):
    model = fitted(books_frame().iloc[:1])
    model.save(tmp_path / "model")
    model = ContentRecommender.load(tmp_path / "model")
    assert np.isinf(model.score(History.of([0]))).all()
    assert model.search("grey wizard", 3).book_nums.tolist() == [0]


def test_equal_texts_are_equally_near():
    books = books_frame().iloc[[0] * 6].reset_index(drop=True)
    model = fitted(books)
    assert model.similarity(2)[[0, 1, 3, 4, 5]] == pytest.approx(np.ones(5), rel=1e-5)
    assert len(model.search("grey wizard", 9)) == 6


ODD_TEXTS = ["?!… --- ***", "\x00", "🐉🐉🐉", "ﷺ", "Ⅷ ﬁ İ", "x" * 1_000_000, "wizard " * 150_000]


@pytest.mark.parametrize("text", ODD_TEXTS, ids=range(len(ODD_TEXTS)))
def test_odd_text_is_no_error(text, tmp_path):
    books = books_frame()
    books.loc[6, ["title", "series", "description"]] = [text, text, text]
    model = fitted(books)
    model.save(tmp_path / "model")
    scores = ContentRecommender.load(tmp_path / "model").score(History.of([6]))
    assert not np.isnan(scores).any()


def test_book_of_punctuation_alone_has_no_vector():
    books = books_frame()
    books.loc[6] = wordless_books(1).loc[0]
    books.loc[6, "title"] = "?!…"
    with running() as stub:
        model = fitted(books, provider_options={"ollama": {"url": stub.url}})
    assert len(stub.texts) == len(model.index_) == 11
    assert 6 not in model.book_nums_


def test_manifest_says_whose_vectors_they_are(tmp_path):
    with running() as stub:
        neural = fitted(books_frame(), provider_options={"ollama": {"url": stub.url}})
    neural.save(tmp_path / "neural")
    fitted(books_frame()).save(tmp_path / "floor")
    ollama, tfidf = (read_manifest(tmp_path / m / "vectors").config for m in ("neural", "floor"))
    assert (ollama["provider"], tfidf["provider"]) == ("ollama", "tfidf")
    assert "embeddinggemma" in ollama["model"]


@pytest.mark.parametrize("share", [0, 0.25, 1])
def test_nearness_is_shared_between_the_provider_and_the_words(share):
    with running() as stub:
        options = {"ollama": {"url": stub.url}}
        model = fitted(books_frame(), provider_options=options, sharpness=1, embedding_share=share)
    vectors = np.array([stub.vector(text) for text in book_texts(books_frame())])
    matrix = document_matrix(books_frame(), FieldWeights(), 20_000).toarray()
    unit = matrix / np.linalg.norm(matrix, axis=1, keepdims=True)
    scores = model.score(History.of([3]))
    near = np.isfinite(scores)
    assert near.any()
    expected = share * np.maximum(vectors @ vectors[3], 0) + (1 - share) * (unit @ unit[3])
    assert scores[near] == pytest.approx(expected[near], rel=1e-3)


def test_unchanged_catalogue_is_embedded_once_and_a_new_book_alone(tmp_path):
    books = books_frame()
    with running() as stub:
        config = ContentConfig(provider_options={"ollama": {"url": stub.url}})

        def fit(rows):
            data = TrainingData(checkerboard(), books.iloc[:rows], cache_folder=tmp_path)
            stub.requests.clear()
            ContentRecommender(config).fit(data, rng=np.random.default_rng(0))
            return len(stub.texts)

        assert [fit(11), fit(11), fit(12)] == [11, 0, 1]


def test_provider_that_is_down_gives_way_to_tfidf_with_one_warning():
    with running() as stub:
        url = stub.url
    with structlog.testing.capture_logs() as logs:
        model = fitted(books_frame(), provider_options={"ollama": {"url": url}})
    assert model.index_.facts.provider == "tfidf"
    warnings = [e["event"] for e in logs if e["log_level"] == "warning"]
    assert warnings == ["embedding_provider_failed"]


def test_without_tfidf_a_provider_that_is_down_is_an_error():
    with pytest.raises(EmbeddingError, match="of ollama works: set one up, or add tfidf"):
        fitted(books_frame(), providers=("ollama",))


def test_unknown_provider_is_an_error():
    with pytest.raises(ConfigurationError, match="no embedding provider word2vec"):
        fitted(books_frame(), providers=("word2vec", "tfidf"))


@pytest.mark.parametrize("providers", [(), ("tfidf", "tfidf")])
def test_list_of_providers_that_makes_no_sense(providers):
    with pytest.raises(ValidationError):
        ContentConfig(providers=providers)


def test_catalogue_without_any_text_says_nothing(tmp_path):
    fitted(wordless_books()).save(tmp_path / "model")
    model = ContentRecommender.load(tmp_path / "model")
    assert np.isinf(model.score(History.of([0]))).all()
    assert np.isinf(model.similarity(0)).all()
    assert len(model.recommend([History.of([0])], 5)[0]) == 0


@pytest.mark.parametrize("size", [1, 2, 1000])
def test_size_is_what_the_data_allows(size):
    assert fitted(books_frame(), embedding_size=size).index_.size <= min(size, 12)


def test_opening_needs_no_scikit_learn_and_no_implicit():
    code = (
        "import sys, pipelines.models.bundle; "
        "print([m for m in ('sklearn', 'implicit', 'mlflow', 'tokenizers') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
