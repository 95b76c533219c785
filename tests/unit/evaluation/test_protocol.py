from collections.abc import Callable

import numpy as np
import pytest

from pipelines.data.interactions import History, Interactions
from pipelines.errors import DataError, ModelError
from pipelines.evaluation import protocol
from pipelines.evaluation.protocol import Holdout, evaluate, holdout
from pipelines.models.base import ModelConfig, RankedBooks, Recommender, rank

N_BOOKS = 30


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

    def __init__(self, book_nums: list[int]) -> None:
        self.book_nums = np.array(book_nums, np.int32)

    def recommend(self, histories, n, *, exclude_seen=True):
        return [RankedBooks(self.book_nums, np.zeros(len(self.book_nums), np.float32))] * len(
            histories
        )


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


def measure(model, readers, popularity=None):
    counts = np.ones(N_BOOKS, np.int64) if popularity is None else popularity
    return evaluate(model, readers, n_books=N_BOOKS, popularity=counts, rng=rng())


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
    assert frame["n_history"].tolist() == [1, 2]
    assert frame["n_relevant"].tolist() == [1, 2]
    assert frame["recall_at_20"].tolist() == [1, 0.5]
    for name in ("ndcg_at_10", "recall_at_20"):
        assert frame[name].mean() == pytest.approx(evaluation.metrics[name])
        low, high = evaluation.intervals[name]
        assert low <= evaluation.metrics[name] <= high


def test_slices_part_the_readers_by_history_length():
    lengths = [0, 1, 4, 5, 19, 20]
    readers = Holdout(
        [History.of(range(n)) for n in lengths],
        [np.array([29], np.int32)] * len(lengths),
        np.arange(len(lengths)),
    )
    # Only readers of five books or more get the one they look for.
    model = ScoresBy(lambda h: np.arange(N_BOOKS) * (1.0 if len(h) >= 5 else -1.0))
    slices = measure(model, readers).slices
    assert {name: s["n_readers"] for name, s in slices.items()} == {
        "history_0": 1,
        "history_1_4": 2,
        "history_5_19": 2,
        "history_20_99": 1,
    }
    assert slices["history_1_4"]["ndcg_at_10"] == 0
    assert slices["history_5_19"]["ndcg_at_10"] == pytest.approx(1)


def test_hundred_books_are_the_last_slice():
    readers = Holdout([History.of([0] * 100)], [np.array([1], np.int32)], np.array([0]))
    assert list(measure(Answers([1]), readers).slices) == ["history_100_up"]


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


def test_popularity_of_another_catalogue_is_refused():
    with pytest.raises(ValueError, match="popularity must have shape"):
        measure(Answers([1]), holdout_of(1), popularity=np.ones(3))
