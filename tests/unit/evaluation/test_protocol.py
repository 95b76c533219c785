from collections.abc import Callable

import numpy as np
import pytest

from pipelines.data.interactions import History, Interactions
from pipelines.errors import DataError, ModelError
from pipelines.evaluation import protocol
from pipelines.evaluation.protocol import BookFacts, Holdout, evaluate, holdout
from pipelines.models.base import ModelConfig, RankedBooks, Recommender, rank
from tests.factories import catalogue

N_BOOKS = 30
N_SHELF = 12


def shelf():
    return catalogue().to_pandas()


def wordless_books():
    return shelf().assign(genres=[[]] * N_SHELF, authors=[[]] * N_SHELF)


class ScoresBy(Recommender):
    """Scores by a function of the history; everything else is the base class."""

    name = "scores_by"
    config = ModelConfig()

    def __init__(self, score: Callable[[History], np.ndarray]) -> None:
        self._score = score

    def fit(self, data, *, rng):
        return self

    def score(self, history):
        return self._score(history).astype(np.float32)

    def save(self, folder):
        raise AssertionError("not asked for here")

    @classmethod
    def load(cls, _folder):
        raise AssertionError("not asked for here")


class Answers(ScoresBy):
    """Gives the same list to everyone."""

    def __init__(self, book_nums: list[int], scores: list[float] | None = None) -> None:
        super().__init__(lambda _: np.zeros(N_BOOKS))
        said = [0.0] * len(book_nums) if scores is None else scores
        self.answer = RankedBooks(np.array(book_nums, np.int32), np.array(said, np.float32))

    def recommend(self, histories, n, *, exclude_seen=True):
        return [self.answer] * len(histories)


def rng(seed=0):
    return np.random.default_rng(seed)


def interactions(rows: list[tuple[int, int, float]], n_readers=4, n_books=N_BOOKS):
    users, books, weights = (np.array(column) for column in zip(*rows, strict=True))
    return Interactions.build(users, books, weights.astype(np.float32), (n_readers, n_books))


def holdout_of(n_readers: int, *, history=(0,), relevant=(5,)) -> Holdout:
    return Holdout(
        [History.of(history)] * n_readers,
        [np.array(relevant, np.int32)] * n_readers,
        np.arange(n_readers),
    )


def measure(model, readers, popularity=None, **facts):
    counts = np.ones(N_BOOKS, np.int64) if popularity is None else popularity
    return evaluate(
        model,
        readers,
        n_books=N_BOOKS,
        popularity=counts,
        facts=BookFacts(**facts),
        rng=rng(),
    )


def measure_on_the_shelf(model, history=(11,), books=None):
    counts = np.ones(N_SHELF, np.int64)
    facts = BookFacts.of(shelf() if books is None else books, counts)
    readers = holdout_of(2, history=history)
    return evaluate(model, readers, n_books=N_SHELF, popularity=counts, facts=facts, rng=rng())


# --- who is judged, and by what

HISTORY = interactions([(0, 1, 1), (0, 2, 0), (1, 3, 1), (3, 4, 1)])


def test_relevant_are_the_liked_held_out_books():
    found = holdout(HISTORY, interactions([(0, 9, 1), (0, 7, 0.5), (0, 8, 0)]), rng=rng())
    assert found.user_nums.tolist() == [0]
    assert found.relevant[0].tolist() == [7, 9]
    assert found.histories[0].book_nums.tolist() == [1, 2]


def test_book_met_before_is_not_relevant():
    found = holdout(HISTORY, interactions([(0, 1, 1), (0, 2, 1), (0, 3, 1)]), rng=rng())
    assert found.relevant[0].tolist() == [3]


def test_reader_with_nothing_to_find_is_left_out():
    held_out = interactions([(0, 1, 1), (1, 5, 0), (3, 6, 1)])
    assert holdout(HISTORY, held_out, rng=rng()).user_nums.tolist() == [3]


def test_at_most_max_readers_are_drawn():
    held_out = interactions([(0, 9, 1), (1, 9, 1), (3, 9, 1)])
    few = [holdout(HISTORY, held_out, max_readers=2, rng=rng(seed)) for seed in range(20)]
    assert {len(h) for h in few} == {2}
    assert {u for h in few for u in h.user_nums.tolist()} == {0, 1, 3}
    assert all(h.user_nums.tolist() == sorted(h.user_nums.tolist()) for h in few)
    assert (
        few[0].histories[0].book_nums.tolist()
        == HISTORY.history(int(few[0].user_nums[0])).book_nums.tolist()
    )
    assert len(holdout(HISTORY, held_out, max_readers=3, rng=rng())) == 3


def test_holdout_of_other_vocabularies_is_refused():
    with pytest.raises(ValueError, match="share vocabularies"):
        holdout(HISTORY, interactions([(0, 1, 1)], n_books=N_BOOKS + 1), rng=rng())


# --- what is measured


def test_perfect_model_scores_1():
    truth = np.zeros(N_BOOKS)
    truth[[5, 6]] = 1
    evaluation = measure(ScoresBy(lambda _: truth), holdout_of(3, relevant=(5, 6)))
    for name in ("ndcg_at_10", "recall_at_10", "recall_at_20", "map_at_10", "mrr_at_10"):
        assert evaluation.metrics[name] == pytest.approx(1), name
        assert evaluation.intervals[name] == pytest.approx((1, 1)), name
    assert evaluation.metrics["precision_at_10"] == pytest.approx(0.2)
    assert evaluation.metrics["n_readers"] == 3


def test_cutoffs_look_at_the_same_list():
    # Book 15 stands at rank 15.
    evaluation = measure(Answers(list(range(1, 21))), holdout_of(2, relevant=(15,)))
    assert evaluation.metrics["recall_at_10"] == evaluation.metrics["hit_rate_at_10"] == 0
    assert evaluation.metrics["recall_at_20"] == 1
    assert evaluation.metrics["ndcg_at_10"] == 0
    assert evaluation.metrics["ndcg_at_20"] == pytest.approx(0.25)  # 1 / log2(16)


def test_metrics_beyond_accuracy_look_at_the_first_ten():
    popularity = np.full(N_BOOKS, 2)
    popularity[0] = 6  # 64 interactions: 5 bits a book
    evaluation = measure(Answers(list(range(1, 21))), holdout_of(2), popularity)
    assert evaluation.metrics["coverage_at_10"] == pytest.approx(10 / 30)
    assert evaluation.metrics["gini_at_10"] == pytest.approx(20 / 30)
    assert evaluation.metrics["novelty_at_10"] == pytest.approx(5)


def test_whole_catalogue_is_ranked():
    """A model that hides the relevant book behind all others finds nothing."""
    evaluation = measure(ScoresBy(lambda _: -1.0 * (np.arange(N_BOOKS) == 5)), holdout_of(2))
    assert evaluation.metrics["recall_at_20"] == 0


def test_model_with_nothing_to_say_scores_0():
    evaluation = measure(Answers([]), holdout_of(2))
    assert evaluation.metrics["ndcg_at_10"] == evaluation.metrics["coverage_at_10"] == 0


def test_per_reader_frame_is_what_the_metrics_are_the_mean_of():
    readers = Holdout(
        [History.of([0]), History.of([0, 1])],
        [np.array([2], np.int32), np.array([3, 25], np.int32)],
        np.array([4, 9]),
    )
    evaluation = measure(ScoresBy(lambda _: -np.arange(N_BOOKS)), readers)
    frame = evaluation.per_reader
    assert frame["user_num"].tolist() == [4, 9]
    assert frame["n_history"].tolist() == frame["n_liked"].tolist() == [1, 2]
    assert frame["n_relevant"].tolist() == [1, 2]
    assert frame["recall_at_20"].tolist() == [1, 0.5]
    for name in ("ndcg_at_10", "recall_at_20"):
        assert frame[name].mean() == pytest.approx(evaluation.metrics[name])
        low, high = evaluation.intervals[name]
        assert low <= evaluation.metrics[name] <= high


def test_lists_stand_beside_the_readers_padded_where_they_end():
    evaluation = measure(Answers([3, 1, 2]), holdout_of(2))
    assert evaluation.books.shape == (2, 20)
    assert evaluation.books[1].tolist() == [3, 1, 2] + [-1] * 17


def test_readers_and_books_are_judged_by_slice():
    readers = Holdout(
        [History.of([0]), History.of([0, 1, 2, 3, 4])],
        [np.array([5, 29], np.int32), np.array([29], np.int32)],
        np.arange(2),
    )
    kinds = {"books_last": np.arange(N_BOOKS) == 29}
    slices = measure(Answers([29, 5]), readers, kinds=kinds).slices
    assert {name: s["n_readers"] for name, s in slices.items()} == {
        "history_1_4": 1,
        "history_5_19": 1,
        "books_last": 2,
    }


def test_diversity_is_absent_where_nothing_is_written_of_the_books():
    assert "diversity_at_10" not in measure(Answers([1, 2]), holdout_of(1)).metrics
    evaluation = measure_on_the_shelf(Answers([1, 2]), books=wordless_books())
    assert "diversity_at_10" not in evaluation.metrics


def test_diversity_looks_at_genres_and_authors_of_the_first_ten():
    same_author_and_genre, nothing_shared = Answers([0, 1]), Answers([0, 7])
    for model, expected in ((same_author_and_genre, 0), (nothing_shared, 1)):
        evaluation = measure_on_the_shelf(model)
        assert evaluation.metrics["diversity_at_10"] == pytest.approx(expected), model.answer


def test_one_author_with_two_genres_is_half_diverse():
    evaluation = measure_on_the_shelf(Answers([3, 11]), history=(0,))  # both by Ana Brandt
    assert 0.2 < evaluation.metrics["diversity_at_10"] < 0.8


def test_batching_changes_nothing(monkeypatch):
    model = ScoresBy(lambda h: np.sin(np.arange(N_BOOKS) * (1 + h.book_nums[0])))
    readers = Holdout(
        [History.of([i]) for i in range(7)],
        [np.array([(i + 5) % N_BOOKS], np.int32) for i in range(7)],
        np.arange(7),
    )
    whole = measure(model, readers).per_reader
    monkeypatch.setattr(protocol, "BATCH_READERS", 2)
    assert measure(model, readers).per_reader.equals(whole)


def test_time_is_that_of_a_thousand_readers(monkeypatch):
    ticks = iter([10.0, 10.5])
    monkeypatch.setattr(protocol.time, "perf_counter", lambda: next(ticks))
    assert measure(Answers([1]), holdout_of(4)).metrics["seconds_per_1000_readers"] == 125


# --- what is refused


def test_seen_book_is_a_leak():
    with pytest.raises(ModelError, match="already met"):
        measure(Answers([1, 0]), holdout_of(2, history=(0,)))


def test_seen_book_is_a_leak_beyond_the_first_ten_too():
    with pytest.raises(ModelError, match="already met"):
        measure(Answers([*range(1, 20), 0]), holdout_of(2, history=(0,)))


def test_seen_book_of_another_reader_is_no_leak():
    readers = Holdout(
        [History.of([7]), History.of([8])], [np.array([9], np.int32)] * 2, np.arange(2)
    )
    model = ScoresBy(lambda _: -np.arange(N_BOOKS))
    assert measure(model, readers).metrics["recall_at_10"] == 1


def test_duplicate_is_refused():
    with pytest.raises(ModelError, match="twice"):
        measure(Answers([1, 2, 1]), holdout_of(2))


def test_book_outside_the_catalogue_is_refused():
    with pytest.raises(ModelError, match="outside the catalogue"):
        measure(Answers([N_BOOKS]), holdout_of(2))


def test_negative_book_num_is_refused():
    with pytest.raises(ModelError, match="outside the catalogue"):
        measure(Answers([-1]), holdout_of(2))


def test_list_longer_than_asked_for_is_refused():
    with pytest.raises(ModelError, match="more than the 20"):
        measure(Answers(list(range(1, 22))), holdout_of(2))


def test_missing_list_is_refused():
    class Forgets(ScoresBy):
        def recommend(self, histories, n, *, exclude_seen=True):
            return [rank(np.zeros(N_BOOKS, np.float32), n, histories[0].book_nums)]

    with pytest.raises(ModelError, match="1 lists for 2"):
        measure(Forgets(lambda _: np.zeros(N_BOOKS)), holdout_of(2))


def test_empty_holdout_says_what_to_do():
    nobody = holdout(HISTORY, interactions([(0, 1, 1)]), rng=rng())
    with pytest.raises(DataError, match=r"^no reader has .* give more ratings .*$"):
        measure(Answers([1]), nobody)


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_scores_that_are_no_numbers_are_refused_though_ranking_leaves_them_out(wrong):
    scores = np.zeros(N_BOOKS)
    scores[9] = wrong
    with pytest.raises(ModelError, match="NaN or infinite"):
        measure(ScoresBy(lambda _: scores), holdout_of(2))


def test_scores_are_looked_at_for_readers_from_first_to_last():
    readers = Holdout(
        [History.of([i % N_BOOKS]) for i in range(99)],
        [np.array([5], np.int32)] * 99,
        np.arange(99),
    )
    last = readers.histories[-1].book_nums[0]
    model = ScoresBy(lambda h: np.full(N_BOOKS, np.nan if h.book_nums[0] == last else 0.0))
    with pytest.raises(ModelError, match="NaN or infinite"):
        measure(model, readers)


def test_minus_infinity_says_only_that_nothing_is_known():
    scores = np.where(np.arange(N_BOOKS) == 5, 1.0, -np.inf)
    assert measure(ScoresBy(lambda _: scores), holdout_of(2)).metrics["ndcg_at_10"] == 1


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_ranked_scores_that_are_no_numbers_are_refused(wrong):
    with pytest.raises(ModelError, match="ranked books by scores that are NaN or infinite"):
        measure(Answers([1, 2], [1.0, wrong]), holdout_of(2))


def test_ascending_scores_are_refused():
    with pytest.raises(ModelError, match="scores ascend"):
        measure(Answers([1, 2, 3], [1.0, 0.5, 0.6]), holdout_of(2))


def test_lists_may_begin_higher_than_the_one_before_ended():
    evaluation = measure(Answers([1, 2], [1.0, 0.5]), holdout_of(2))
    assert evaluation.metrics["n_readers"] == 2


def test_more_scores_than_books_are_refused():
    with pytest.raises(ModelError, match="more or fewer scores"):
        measure(Answers([1, 2], [1.0, 0.5, 0.4]), holdout_of(2))


def test_popularity_of_another_catalogue_is_refused():
    with pytest.raises(ValueError, match="popularity must have shape"):
        measure(Answers([1]), holdout_of(1), popularity=np.ones(3))


def test_lists_from_elsewhere_are_judged_without_scores_behind_them():
    class Listed:
        name = "listed"
        recommend = Answers([5]).recommend

    assert measure(Listed(), holdout_of(2)).metrics["recall_at_10"] == 1
