"""
The books named as reasons are those that carry a recommendation: without them its score falls.

For a model by itself this holds for every recommendation below. It follows where scores are sums
or weighted means of what liked books contribute, unless all contribute the same to a mean, and for
matrix factorization while no liked book is itself scored above (1 + alpha) / alpha. The hybrid
scales what its parts say to each reader, so there it holds in nearly all cases and in the mean.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pytest

from pipelines.data.interactions import History, Interactions, TrainingData, Vocabulary
from pipelines.data.rating_scale import preference
from pipelines.data.sources.sample import read_catalogue, simulate_readers
from pipelines.models.base import BookNums, ExplainsScores, Recommender
from pipelines.models.bundle import ModelBundle
from pipelines.models.factory import create, model_names
from pipelines.models.hybrid import HybridConfig, HybridRecommender
from pipelines.models.popularity import PopularityRecommender

EXPLAINING = [name for name in model_names() if isinstance(create(name), ExplainsScores)]
N_READERS = 600
N_ASKED = 80
BECAUSE = "because you liked "


@pytest.fixture(scope="module")
def library() -> tuple[TrainingData, Vocabulary]:
    """The project's own books and readers."""
    books = read_catalogue().sort_values("book_id", ignore_index=True)
    assert books["title"].is_unique
    readers = simulate_readers(
        books, rng=np.random.default_rng(7), n_readers=N_READERS, n_ratings=18_000
    )
    vocabulary = Vocabulary.of(books["book_id"])
    interactions = Interactions.build(
        readers["user_id"].to_numpy() - 1,
        vocabulary.nums(readers["book_id"].to_numpy()),
        preference(readers["rating"].to_numpy(), (1.0, 5.0)),
        (N_READERS, len(books)),
    )
    return TrainingData(interactions, books), vocabulary


@pytest.fixture(scope="module")
def fitted(library) -> dict[str, Recommender]:
    data, _ = library
    rng = np.random.default_rng(0)
    return {name: create(name).fit(data, rng=rng) for name in [*EXPLAINING, "popularity"]}


def bundle_of(parts: dict[str, Recommender], library) -> ModelBundle:
    data, vocabulary = library
    return ModelBundle(
        HybridRecommender(HybridConfig(weights=dict.fromkeys(parts, 1.0)), parts),
        PopularityRecommender().fit(data, rng=np.random.default_rng(0)),
        Vocabulary(np.arange(1, N_READERS + 1)),
        vocabulary,
        data.interactions,
        pa.Table.from_pandas(data.books, preserve_index=False),
    )


@dataclass(frozen=True)
class Case:
    """A recommendation: for what history, and which liked books are named as its reasons."""

    history: History
    book_num: int
    named: BookNums
    """The strongest first."""

    def score(self, model: Recommender, gone: BookNums) -> float:
        """What the model says of the book to a reader who has not met those that are gone."""
        kept = ~np.isin(self.history.book_nums, gone)
        shorter = History(self.history.book_nums[kept], self.history.weights[kept])
        return float(model.score(shorter)[self.book_num])


def cases(bundle: ModelBundle) -> Iterator[Case]:
    """The five best books of each of some readers who like at least six."""
    num_of = {bundle.catalogue.named(num)[0]: num for num in range(len(bundle.books))}
    for user_num in range(N_ASKED):
        history = bundle.interactions.history(user_num)
        if len(history.liked) < 6:
            continue
        for item in bundle.recommend(str(user_num + 1), 5).items:
            named = [num_of[why.removeprefix(BECAUSE)] for why in item.reasons]
            num = int(bundle.books.nums([item.book_id])[0])
            yield Case(history, num, np.array(named, np.int32))


def falls(model: Recommender, asked: list[Case]) -> tuple[list[float], list[float]]:
    """How far scores fall without the named books, and without as many other liked ones."""
    rng = np.random.default_rng(1)
    without_named, without_others = [], []
    for case in asked:
        whole = case.score(model, case.named[:0])
        others = rng.permutation(np.setdiff1d(case.history.liked.book_nums, case.named))
        # A book that is no longer scored at all has lost what it had.
        without_named.append(whole - max(case.score(model, case.named), 0))
        without_others.append(whole - max(case.score(model, others[: len(case.named)]), 0))
    return without_named, without_others


@pytest.mark.parametrize("name", EXPLAINING)
def test_without_the_book_named_first_the_score_of_each_model_falls(name, fitted, library):
    model = fitted[name]
    asked = list(cases(bundle_of({name: model}, library)))
    assert len(asked) > 200
    for case in asked:
        whole = case.score(model, case.named[:0])
        assert case.score(model, case.named[:1]) < whole
        assert case.score(model, case.named) < whole


@pytest.mark.parametrize("name", EXPLAINING)
def test_named_books_carry_more_than_others_in_each_model(name, fitted, library):
    model = fitted[name]
    named, others = falls(model, list(cases(bundle_of({name: model}, library))))
    assert np.mean(named) > 2 * np.mean(others)


def test_named_books_carry_more_than_others_in_the_hybrid(fitted, library):
    served = bundle_of(fitted, library)
    asked = list(cases(served))
    assert len(asked) > 200
    named, others = falls(served.hybrid, asked)
    assert np.mean(np.array(named) > 0) > 0.95
    assert np.mean(named) > 2 * np.mean(others)
