import numpy as np
import pytest
import structlog

from pipelines.data.interactions import TrainingData
from pipelines.errors import NotFittedError
from pipelines.models.content import ContentConfig, ContentRecommender
from pipelines.models.documents import book_texts
from pipelines.models.search.lexical_index import LexicalIndex
from pipelines.models.search.text_search import PAUSE_SECONDS, QueryEmbedder, TextSearch
from pipelines.models.vector_index import VectorIndex
from tests.factories import N_BOOKS, books_frame, checkerboard, wordless_books
from tests.unit.models.embeddings.ollama_stub import MODEL, running


def fitted(books, **config):
    model = ContentRecommender(ContentConfig(**config))
    return model.fit(TrainingData(checkerboard(), books), rng=np.random.default_rng(0))


def reopened(model, folder):
    model.save(folder / "model")
    return ContentRecommender.load(folder / "model")


@pytest.fixture(scope="module")
def floor(tmp_path_factory):
    """A loaded model with the vectors of `tfidf`."""
    return reopened(fitted(books_frame(), providers=("tfidf",)), tmp_path_factory.mktemp("floor"))


@pytest.fixture
def ollama():
    with running() as stub:
        yield stub


@pytest.fixture
def neural(ollama, tmp_path):
    """A loaded model with the vectors of a server that answers."""
    model = fitted(books_frame(), provider_options={"ollama": {"url": ollama.url}})
    ollama.requests.clear()
    return reopened(model, tmp_path)


@pytest.fixture
def events():
    with structlog.testing.capture_logs() as logs:
        yield logs


def warnings_of(events):
    return [e["event"] for e in events if e["log_level"] == "warning"]


def test_titles_and_authors_come_first(floor):
    books = books_frame()
    for num in range(N_BOOKS):
        assert floor.search(books["title"][num], 1).book_nums.tolist() == [num]
    assert set(floor.search("rex hall", 2).book_nums.tolist()) == {7, 8}


def test_books_about_the_same_follow_those_that_share_words(floor):
    ranked = floor.search("climbs", 4)
    assert ranked.book_nums[0] == 1
    assert set(ranked.book_nums.tolist()) <= {0, 1, 2, 3}


@pytest.mark.parametrize("text", ["", " ", "!!!", "xqzt blorfgh", "\ud800"])
def test_text_without_a_known_word_finds_nothing(floor, text):
    assert len(floor.search(text, 5)) == 0


@pytest.mark.parametrize("n", [1, 3, 1000])
def test_lists_are_short_sorted_and_without_duplicates(floor, n):
    ranked = floor.search("the wizard", n)
    assert 0 < len(ranked) <= n
    assert len(set(ranked.book_nums.tolist())) == len(ranked)
    assert (np.diff(ranked.scores) <= 0).all()
    assert ranked.scores.dtype == np.float32


def test_text_of_a_million_characters(floor):
    assert floor.search("dragon weather " * 70_000, 1).book_nums.tolist() == [3]


def test_loading_loses_nothing(tmp_path):
    model = fitted(books_frame(), providers=("tfidf",))
    loaded = reopened(model, tmp_path)
    for text in ("wizard", "orbit of irn", "crime"):
        assert loaded.search(text, 9).scores.tobytes() == model.search(text, 9).scores.tobytes()


def test_unfitted_model_says_so():
    with pytest.raises(NotFittedError):
        ContentRecommender().search("wizard", 3)


def test_catalogue_without_text_finds_nothing():
    assert len(fitted(wordless_books(), providers=("tfidf",)).search("wizard", 3)) == 0


def test_text_is_embedded_by_the_provider_of_the_books(neural, ollama):
    assert neural.index_.facts.provider == "ollama"
    text = book_texts(books_frame())[10]
    ranked = neural.search(text, 5)
    assert ollama.requests == [[text]]
    assert ranked.book_nums[0] == 10
    assert ranked.scores[0] == pytest.approx(1 + neural.words_.scores(text)[10], rel=1e-4)


def test_unknown_words_still_mean_something_to_a_neural_provider(neural):
    assert len(neural.search("blorfgh", 5)) == 5
    assert len(neural.search("?!", 5)) == 0


@pytest.mark.parametrize(
    "spoil",
    [
        lambda rows: [row[:-1] for row in rows],
        lambda rows: [[float("nan")] * len(row) for row in rows],
        lambda rows: [[0.0] * len(row) for row in rows],
        lambda _: [],
        lambda _: b"<html>",
    ],
)
def test_provider_that_answers_nonsense_is_done_without(neural, ollama, events, spoil):
    ollama.spoil = spoil
    for _ in range(3):
        assert neural.search("the grey sea", 3).book_nums[0] == 2
    assert warnings_of(events) == ["search_without_embeddings"]
    assert len(ollama.requests) == 1


def test_provider_that_is_gone_is_done_without(tmp_path, events):
    with running() as stub:
        model = fitted(books_frame(), provider_options={"ollama": {"url": stub.url}})
    model = reopened(model, tmp_path)
    for _ in range(3):
        assert model.search("the grey sea", 3).book_nums[0] == 2
    assert len(model.search("xqzt blorfgh", 3)) == 0
    assert warnings_of(events) == ["search_without_embeddings"]


def test_slow_provider_is_asked_again_after_a_pause(ollama, events):
    now = 0.0
    options = {"url": ollama.url, "query_timeout_seconds": 0.05}
    model = f"{MODEL} max_characters=4000"
    embedder = QueryEmbedder("ollama", options, model, ollama.size, clock=lambda: now)
    ollama.seconds = 0.3
    assert embedder.vector("wizard") is None
    ollama.seconds = 0
    assert embedder.vector("wizard") is None
    now, ollama.seconds = PAUSE_SECONDS + 1, 0.3
    assert embedder.vector("wizard") is None
    now, ollama.seconds = 2 * now, 0
    assert embedder.vector("wizard") is not None
    assert warnings_of(events) == ["search_without_embeddings"]


def test_model_that_was_exchanged_is_not_asked(ollama, events):
    embedder = QueryEmbedder("ollama", {"url": ollama.url}, "another model", ollama.size)
    assert embedder.vector("wizard") is None
    assert ollama.requests == []
    assert "train the model again" in events[0]["reason"]


def test_book_without_a_vector_is_found_by_its_words():
    words = LexicalIndex.build(books_frame(), 100)
    index = VectorIndex.build(np.eye(2, dtype=np.float32))
    search = TextSearch(words, index, np.array([0, 4], np.int32), {})
    ranked = search.ranked("orbit of glass", 2)
    assert ranked.book_nums[0] == 5
    assert ranked.scores[0] == words.scores("orbit of glass")[5]
