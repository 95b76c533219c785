import numpy as np
import pytest

from pipelines.data.interactions import History
from pipelines.models.blending import fit_blend, normalised
from pipelines.models.hybrid import HybridConfig, HybridRecommender
from tests.unit.models.test_hybrid import NOTHING, Says

N_BOOKS = 400


def rng():
    return np.random.default_rng(0)


class Oracle(Says):
    """Knows what some readers want, the book after their first, and is silent on the others."""

    def __init__(self, knows):
        self.knows = knows

    def score(self, history):
        book = int(history.book_nums[0])
        if not self.knows(book):
            return np.full(N_BOOKS, NOTHING, np.float32)
        scores = rng().random(N_BOOKS).astype(np.float32)
        scores[book + 1] = 2
        return scores


READERS = [History.of([book]) for book in range(0, 60, 2)]
WANTED = [np.array([book + 1]) for book in range(0, 60, 2)]
PARTS = {
    "noise": Says(*rng().random(N_BOOKS)),
    "early": Oracle(lambda book: book < 30),
    "late": Oracle(lambda book: book >= 30),
}


def test_scale_is_set_by_unseen_books():
    scores = np.array([9, 1, 2, 3, NOTHING], np.float32)
    scaled = normalised(scores, np.array([0], np.int32))
    assert scaled.tolist() == pytest.approx([1, 0, 0.5**0.5, 1, 0])


def test_scores_are_left_as_they_were():
    scores = np.array([9, 1, NOTHING], np.float32)
    normalised(scores, np.array([0], np.int32))
    assert scores.tolist() == [9, 1, NOTHING]


@pytest.mark.parametrize("scores", [[NOTHING, NOTHING], [3, NOTHING]])
def test_nothing_to_say_of_unseen_books(scores):
    assert normalised(np.array(scores, np.float32), np.array([0], np.int32)) is None


def test_parts_that_know_get_the_weight():
    result = fit_blend(PARTS, READERS, WANTED, rng=rng())
    assert sum(result.weights.values()) == pytest.approx(1)
    assert result.weights["early"] > 0.2
    assert result.weights["late"] > 0.2
    assert result.ndcg_at_10 > 0.99
    assert result.by_part["early"] == pytest.approx(0.5, abs=0.1)
    assert result.by_part["noise"] < 0.1


def test_reached_value_is_that_of_the_hybrid():
    result = fit_blend(PARTS, READERS, WANTED, rng=rng())
    config = HybridConfig(weights=result.weights, by_history=result.by_history)
    model = HybridRecommender(config, PARTS)
    gains = [
        1 / np.log2(np.flatnonzero(ranked.book_nums == wanted[0])[0] + 2)
        for ranked, wanted in zip(model.recommend(READERS, 10), WANTED, strict=True)
        if wanted[0] in ranked.book_nums
    ]
    assert sum(gains) / len(READERS) == pytest.approx(result.ndcg_at_10)


def test_several_relevant_books_are_measured_against_the_best_list():
    part = Says(*range(N_BOOKS, 0, -1))  # book 0 first
    result = fit_blend({"a": part}, [History.of([0])], [np.array([1, 3])], rng=rng())
    expected = (1 + 1 / np.log2(4)) / (1 + 1 / np.log2(3))
    assert result.ndcg_at_10 == pytest.approx(expected)
    assert result.weights == {"a": 1}


def test_ties_fall_as_in_a_ranked_list():
    """All books tied: the ten of lowest book_num are what a reader would get."""
    flat = {"flat": Says(*np.ones(N_BOOKS))}
    first, last = np.array([1]), np.array([N_BOOKS - 1])
    assert fit_blend(flat, [History.of([0])], [first], rng=rng()).ndcg_at_10 == 1
    assert fit_blend(flat, [History.of([0])], [last], rng=rng()).ndcg_at_10 == 0


@pytest.mark.parametrize(
    ("histories", "relevant"),
    [([], []), (READERS[:1], [np.empty(0, np.int32)])],
    ids=["no_reader", "nothing_relevant"],
)
def test_without_evidence_weights_are_even(histories, relevant):
    result = fit_blend({"a": Says(1, 2), "b": Says(2, 1)}, histories, relevant, rng=rng())
    assert result.weights == {"a": 0.5, "b": 0.5}
    assert result.ndcg_at_10 == 0


def test_silent_parts_do_not_stop_it():
    parts = {"a": Says(*[NOTHING] * N_BOOKS), "b": PARTS["early"]}
    result = fit_blend(parts, READERS, WANTED, rng=rng())
    assert result.by_part["a"] < result.by_part["b"]


class Newcomers(Says):
    """Knows what to read after the first book, and nothing once there are two."""

    def __init__(self, *, wanted):
        self.wanted = wanted

    def score(self, history):
        scores = rng().random(N_BOOKS).astype(np.float32)
        if len(history.liked) == 1:
            scores[self.wanted] = 2
        return scores


class Regulars(Newcomers):
    """The other way round."""

    def score(self, history):
        scores = rng().random(N_BOOKS).astype(np.float32)
        if len(history.liked) >= 20:
            scores[self.wanted] = 2
        return scores


def test_newcomers_are_learnt_from_cut_histories():
    """All readers at hand have read 30 books; what serves after one book is still found out."""
    readers = [History.of(range(i, i + 30)) for i in range(50)]
    parts = {"newcomers": Newcomers(wanted=300), "regulars": Regulars(wanted=300)}
    # Only histories cut to a single book let the first part speak; only long ones the second.
    result = fit_blend(parts, readers, [np.array([300])] * 50, rng=rng())
    assert list(result.by_history) == [1, 5, 20, 100]
    assert result.by_history[20]["regulars"] > 0.7 > result.by_history[1]["regulars"]
    assert result.by_history[1]["newcomers"] > result.by_history[20]["newcomers"]
    assert result.by_history[100] == result.weights  # nobody has read so much


def test_books_met_are_not_candidates_though_the_cut_history_lacks_them():
    """Else every part that knows a reader's older books would be blamed for showing them."""
    readers = [History.of(range(30))] * 40
    remembers = Says(*[9.0] * 29, *rng().random(N_BOOKS - 29))
    result = fit_blend({"remembers": remembers}, readers, [np.array([300])] * 40, rng=rng())
    assert result.by_history[1] == {"remembers": 1}


def test_same_seed_same_weights():
    readers = [History.of(range(i, i + 30)) for i in range(50)]
    one, other = (fit_blend(PARTS, readers, [np.array([300])] * 50, rng=rng()) for _ in range(2))
    assert one == other
