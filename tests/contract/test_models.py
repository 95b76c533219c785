"""Every model keeps the laws."""

from pathlib import Path

import numpy as np
import pytest

from pipelines.data.interactions import History
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
from tests.factories import N_BOOKS, checkerboard_data


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
        return HybridRecommender(HybridConfig(weights=weights), parts)

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
