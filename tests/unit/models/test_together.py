"""A list does not depend on who else is asked: with every part, to the last bit."""

from dataclasses import replace

import numpy as np
import pytest

from pipelines.data.interactions import History, Interactions, TrainingData, Vocabulary
from pipelines.errors import UnknownPartError
from pipelines.models.bundle import BundleConfig, ModelBundle, Read
from pipelines.models.factory import create
from pipelines.models.hybrid import HybridConfig, HybridRecommender
from pipelines.models.popularity import PopularityRecommender
from pipelines.models.reranking import UNCHANGED, Filters, Reranking
from tests.factories import N_BOOKS, books_frame, catalogue

PARTS = (
    "popularity",
    "genre_popularity",
    "item_knn",
    "user_knn",
    "ease",
    "matrix_factorization",
    "content",
)
N_READERS = 53


def rows() -> Interactions:
    """Readers of one to eleven books; the last has met some and liked none."""
    rng = np.random.default_rng(7)
    lengths = rng.integers(1, N_BOOKS, N_READERS)
    users = np.repeat(np.arange(N_READERS), lengths)
    books = np.concatenate([rng.permutation(N_BOOKS)[:length] for length in lengths])
    weights = (rng.random(len(users)) < 0.8).astype(np.float32)
    weights[users == N_READERS - 1] = 0
    days = rng.integers(0, 400, len(users)).astype(np.float32)
    return Interactions.build(users, books, weights, (N_READERS, N_BOOKS), days)


def made(interactions: Interactions) -> ModelBundle:
    data = TrainingData(interactions, books_frame(), ordered=True)
    small = {"embedding_size": 8, "iterations": 2, "threads": 1}
    parts = {n: create(n, **(small if n == "matrix_factorization" else {})) for n in PARTS}
    weights = {name: 1.0 + num for num, name in enumerate(PARTS)}
    few = {name: float(name != "ease") for name in PARTS}
    config = HybridConfig(weights=weights, by_history={3: few, 6: weights}, damping=0.3)
    rng = np.random.default_rng(0)
    table = catalogue()
    return ModelBundle(
        HybridRecommender(config, parts).fit(data, rng=rng),
        PopularityRecommender().fit(data, rng=rng),
        Vocabulary(np.arange(N_READERS)),
        Vocabulary(table["book_id"].to_numpy()),
        interactions,
        table,
        BundleConfig(rating_scale=(1.0, 5.0)),
    )


@pytest.fixture(scope="module", params=["fresh", "loaded"])
def served(request, tmp_path_factory) -> ModelBundle:
    bundle = made(rows())
    if request.param == "fresh":
        return bundle
    folder = tmp_path_factory.mktemp("together") / "bundle"
    bundle.save(folder)
    return ModelBundle.load(folder)


@pytest.mark.parametrize("name", PARTS)
def test_scores_of_many_are_those_of_each(served, name):
    part = served.hybrid.parts[name]
    histories = [*served.interactions.histories(range(N_READERS)), History.of([])]
    for row, history in zip(part.score_many(histories), histories, strict=True):
        assert row.tobytes() == part.score(history).tobytes()


WISHES = [
    UNCHANGED,
    Reranking(diversity=0.5),
    Reranking(popularity_damping=1, filters=Filters(genres=("crime", "fantasy"))),
    Reranking(model="matrix_factorization", filters=Filters(exclude_seen=False)),
]


@pytest.mark.parametrize("wishes", WISHES)
@pytest.mark.parametrize("explain", [False, True])
def test_answers_to_many_are_those_to_each(served, wishes, explain):
    readers = np.random.default_rng(1).permutation(N_READERS)
    histories = served.interactions.histories(readers)
    answers = served.recommend_to(histories, 5, explain=explain, reranking=wishes)
    for reader, answer in zip(readers, answers, strict=True):
        assert answer == served.recommend(str(reader), 5, explain=explain, reranking=wishes)


def test_ratings_of_a_session_tell_likings_apart(served):
    read = [Read("10", 5), Read("20", 4), Read("30", 3), Read("40"), Read("nope", 5), Read("10", 1)]
    history = served.history_of(read)
    assert history.book_nums.tolist() == [1, 2, 3, 0]
    assert history.weights.tolist() == [1, 0, 1, 0]  # 3.8 of 1 to 5 is liked


def test_without_a_scale_whatever_was_rated_was_liked(served):
    bare = without_scale(served)
    assert bare.history_of([Read("10", 1)]).weights.tolist() == [1]


def without_scale(served: ModelBundle) -> ModelBundle:
    parts = (served.hybrid, served.popularity, served.users, served.books, served.interactions)
    return ModelBundle(*parts, served.catalogue.table)


def test_what_was_liked_last_trends(served):
    days = np.zeros_like(served.interactions.days)
    liked = served.interactions.matrix.data > 0
    newest = np.flatnonzero(liked & (served.interactions.matrix.indices == 8))
    days[newest[:1]] = 365
    parts = (served.hybrid, served.popularity, served.users, served.books)
    lately = ModelBundle(*parts, replace(served.interactions, days=days), served.catalogue.table)
    answer = lately.trending(3, half_life_days=10)
    assert (answer.items[0].book_id, answer.source) == (90, "model")
    crime = Reranking(filters=Filters(genres=("crime",)))
    assert lately.trending(9, half_life_days=10, reranking=crime).items[0] == answer.items[0]
    assert len(lately.trending(9, half_life_days=10, reranking=crime).items) == 3
    assert lately.trending(3, half_life_days=10) == answer  # what is kept was not changed


def test_times_and_scale_survive_saving(served):
    assert served.interactions.has_times
    assert served.config.rating_scale == (1.0, 5.0)
    assert served.without_reader("3").config == served.config


def test_without_times_what_is_popular_is_given_and_said(served):
    parts = (served.hybrid, served.popularity, served.users, served.books)
    timeless = ModelBundle(*parts, replace(served.interactions, days=None), served.catalogue.table)
    assert timeless.trending(5, half_life_days=7) == timeless.popular(5)
    assert timeless.trending(5, half_life_days=7).source == "fallback"


def test_an_unknown_part_is_refused_with_the_names_of_the_others(served):
    for ask in (
        lambda wishes: served.recommend("1", 3, reranking=wishes),
        lambda wishes: served.similar(["10"], 3, reranking=wishes),
    ):
        with pytest.raises(UnknownPartError, match="content, ease"):
            ask(Reranking(model="oracle"))
    with pytest.raises(UnknownPartError, match="take one of content, ease, item_knn, matrix"):
        served.similar(["10"], 3, reranking=Reranking(model="popularity"))


def test_a_longer_list_begins_with_the_shorter_and_skips_go_on(served):
    whole = served.recommend("2", N_BOOKS)
    for skip in range(N_BOOKS):
        assert served.recommend("2", 2, skip=skip).items == whole.items[skip : skip + 2]
        assert served.recommend("2", 2, skip=skip).source == whole.source
