"""Every model keeps the laws."""

from pathlib import Path

import numpy as np
import pytest

from pipelines.data.interactions import History, TrainingData
from pipelines.models.base import ExplainsScores, FindsSimilarBooks
from pipelines.models.content import ContentRecommender
from pipelines.models.ease import EaseRecommender
from pipelines.models.factory import create, load_model, model_names
from pipelines.models.genre_popularity import GenrePopularityRecommender
from pipelines.models.hybrid import HybridConfig, HybridRecommender
from pipelines.models.item_knn import ItemKnnRecommender
from pipelines.models.matrix_factorization import (
    MatrixFactorizationConfig,
    MatrixFactorizationRecommender,
)
from pipelines.models.popularity import PopularityRecommender, RecentPopularityRecommender
from pipelines.models.user_knn import UserKnnRecommender
from tests.contract.recommender import (
    CollaborativeContract,
    ExplainsScoresContract,
    PersonalContract,
    RecommenderContract,
    SimilarBooksContract,
)
from tests.factories import (
    N_BOOKS,
    books_frame,
    checkerboard_data,
    small_interactions,
    wordless_books,
)


class TestPopularity(RecommenderContract):
    @classmethod
    def make(cls):
        return PopularityRecommender()

    @classmethod
    def load(cls, folder: Path):
        return PopularityRecommender.load(folder)


class TestRecentPopularity(RecommenderContract):
    @classmethod
    def make(cls):
        return RecentPopularityRecommender()

    @classmethod
    def load(cls, folder: Path):
        return RecentPopularityRecommender.load(folder)


class TestGenrePopularity(PersonalContract):
    @classmethod
    def make(cls):
        return GenrePopularityRecommender()

    @classmethod
    def load(cls, folder: Path):
        return GenrePopularityRecommender.load(folder)


class TestUserKnn(CollaborativeContract):
    @classmethod
    def make(cls):
        return UserKnnRecommender()

    @classmethod
    def load(cls, folder: Path):
        return UserKnnRecommender.load(folder)


class TestItemKnn(CollaborativeContract, SimilarBooksContract, ExplainsScoresContract):
    @classmethod
    def make(cls):
        return ItemKnnRecommender()

    @classmethod
    def load(cls, folder: Path):
        return ItemKnnRecommender.load(folder)

    def test_contributions_sum_to_the_score(self, model):
        """What is shown as a reason is what was added up."""
        history = History.of([2, 4, 6])
        amounts = model.contributions(history, np.array([8], np.int32))
        assert amounts.sum() == pytest.approx(model.score(history)[8])


class TestEase(CollaborativeContract, SimilarBooksContract, ExplainsScoresContract):
    @classmethod
    def make(cls):
        return EaseRecommender()

    @classmethod
    def load(cls, folder: Path):
        return EaseRecommender.load(folder)

    def test_contributions_sum_to_the_score(self, model):
        """What is shown as a reason is what was added up."""
        history = History.of([2, 4, 6])
        amounts = model.contributions(history, np.array([8], np.int32))
        assert amounts.sum() == pytest.approx(model.score(history)[8], rel=1e-5)


class TestMatrixFactorization(CollaborativeContract, SimilarBooksContract, ExplainsScoresContract):
    @classmethod
    def make(cls):
        return MatrixFactorizationRecommender(MatrixFactorizationConfig(embedding_size=4))

    @classmethod
    def load(cls, folder: Path):
        return MatrixFactorizationRecommender.load(folder)

    def test_contributions_sum_to_the_score(self, model):
        """Eq. 7 of the paper is eq. 4 taken apart."""
        history = History.of([2, 4, 6])
        amounts = model.contributions(history, np.array([8], np.int32))
        assert amounts.sum() == pytest.approx(model.score(history)[8], rel=1e-4)


class TestContent(PersonalContract, SimilarBooksContract, ExplainsScoresContract):
    @classmethod
    def make(cls):
        return ContentRecommender()

    @classmethod
    def load(cls, folder: Path):
        return ContentRecommender.load(folder)

    def test_contributions_sum_to_the_score(self, model):
        """What is shown as a reason is what was added up."""
        history = History(np.array([6, 2, 4], np.int32), np.array([1, 0.5, 0.25], np.float32))
        ranked = model.recommend([history], N_BOOKS)[0]
        amounts = model.contributions(history, ranked.book_nums)
        assert len(ranked)
        assert amounts.sum(axis=1) == pytest.approx(ranked.scores, rel=1e-5)


class TestHybrid(CollaborativeContract, SimilarBooksContract, ExplainsScoresContract):
    test_without_what_carries_it_most_a_book_scores_less = None
    """It scales scores to each reader: see test_reasons for what holds of it in the mean."""

    @classmethod
    def make(cls):
        weights = {
            "popularity": 0.05,
            "item_knn": 0.45,
            "matrix_factorization": 0.4,
            "content": 0.1,
        }
        parts = {
            name: create(name, **({"embedding_size": 4} if name == "matrix_factorization" else {}))
            for name in weights
        }
        return HybridRecommender(HybridConfig(weights=weights, damping=0.3, new_books=0.5), parts)

    @classmethod
    def load(cls, folder: Path):
        return HybridRecommender.load(folder)


def test_factory_opens_what_it_made(tmp_path):
    """Every name of the factory saves under that name."""
    for name in model_names():
        model = create(name).fit(checkerboard_data(), rng=np.random.default_rng(0))
        model.save(tmp_path / name)
        assert type(load_model(tmp_path / name)) is type(model)


def test_powers_of_the_parts():
    """What counts books or readers knows neither neighbours nor reasons; the others know both."""
    models = {name: create(name) for name in model_names()}
    able = {name for name, model in models.items() if isinstance(model, FindsSimilarBooks)}
    explaining = {name for name, model in models.items() if isinstance(model, ExplainsScores)}
    assert able == explaining == {"content", "ease", "item_knn", "matrix_factorization"}


LIKED, NEW = 4, 5
"""Two books of a series, of which nobody in `small_interactions` has met the second."""


def says_of_a_new_book(name, books):
    """Whether a model ranks it above the worst that it says of any book."""
    data = TrainingData(small_interactions(), books)
    scores = create(name).fit(data, rng=np.random.default_rng(0)).score(History.of([LIKED]))
    return bool(np.isfinite(scores[NEW]) and scores[NEW] > scores[np.isfinite(scores)].min())


@pytest.mark.parametrize("name", model_names())
def test_a_model_scores_new_books_if_it_says_so(name, monkeypatch):
    """Silence about a new book is no answer of a model that cannot know it."""
    monkeypatch.setattr("pipelines.models.ease.MAX_SHARE", 1)  # what 2 of 12 share is much else
    assert NEW in small_interactions().unmet
    assert says_of_a_new_book(name, books_frame()) == create(name).scores_new_books


@pytest.mark.parametrize("name", model_names())
def test_without_a_catalogue_no_model_scores_new_books(name):
    """A book of which nothing is written and that nobody has met is like any other such book."""
    assert not says_of_a_new_book(name, wordless_books())
