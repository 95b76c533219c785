from typing import ClassVar

import numpy as np
import pytest

from pipelines.data.interactions import Interactions, TrainingData
from pipelines.evaluation import learning_curve as module
from pipelines.evaluation.learning_curve import learner, learning_curve, of_readers
from pipelines.evaluation.protocol import Holdout, holdout
from pipelines.models.factory import create
from pipelines.models.item_knn import ItemKnnRecommender
from tests.factories import catalogue

N_READERS, N_BOOKS = 80, 12


def rows(part: int) -> Interactions:
    """Readers like books of their own parity: four to learn from, the other two to find."""
    users = np.repeat(np.arange(N_READERS), 4 if part == 0 else 2)
    steps = np.tile([0, 1, 2, 3] if part == 0 else [4, 5], N_READERS)
    books = (users % 2 + 2 * ((users // 2 + steps) % 6)) % N_BOOKS
    days = np.arange(len(users), dtype=np.float32)
    ones = np.ones(len(users), np.float32)
    return Interactions.build(users, books, ones, (N_READERS, N_BOOKS), days)


@pytest.fixture
def data() -> TrainingData:
    return TrainingData(rows(0), catalogue().to_pandas(), ordered=True)


@pytest.fixture
def readers() -> Holdout:
    return holdout(rows(0), rows(1), rng=np.random.default_rng(0))


class Remembers(ItemKnnRecommender):
    """Keeps what each fit was given."""

    seen: ClassVar[list[TrainingData]] = []

    def fit(self, data, *, rng):
        Remembers.seen.append(data)
        return super().fit(data, rng=rng)


class Clock:
    """Goes on by as much as the fits so far have cost, one second the first, then doubling."""

    def __init__(self) -> None:
        Remembers.seen.clear()

    def __call__(self) -> float:
        return float(2 ** len(Remembers.seen) - 1)


def drawn(data, readers, *, seed=0, max_seconds=1e9, **kwargs):
    whole = Remembers(ItemKnnRecommender.config_class()).fit(data, rng=np.random.default_rng(0))
    Remembers.seen.clear()
    rng = np.random.default_rng(seed)
    return learning_curve(whole, data, readers, max_seconds=max_seconds, rng=rng, **kwargs)


def known(data: TrainingData) -> set[int]:
    return set(np.flatnonzero(np.diff(data.interactions.matrix.indptr)).tolist())


def test_each_share_holds_the_one_before(data, readers):
    drawn(data, readers)
    eighth, quarter, half = map(known, Remembers.seen)
    assert (len(eighth), len(quarter), len(half)) == (10, 20, 40)
    assert eighth < quarter < half


def test_the_last_point_is_the_whole_and_is_not_fitted_again(data, readers):
    curve = drawn(data, readers)
    assert [p.readers for p in curve.points] == [10, 20, 40, 80]
    assert [p.share for p in curve.points] == [0.125, 0.25, 0.5, 1.0]
    assert len(Remembers.seen) == 3
    assert curve.points[-1].ndcg_at_10 > 0.5


def test_the_same_seed_gives_the_same_curve(data, readers):
    assert drawn(data, readers, seed=1) == drawn(data, readers, seed=1)


def test_another_seed_draws_other_readers(data, readers):
    drawn(data, readers, seed=1)
    first = known(Remembers.seen[0])
    drawn(data, readers, seed=2)
    assert known(Remembers.seen[0]) != first


def test_a_share_that_would_take_too_long_is_skipped_and_said(data, readers):
    """After one second and then two, the half is expected to take four more."""
    whole = drawn(data, readers, max_seconds=7, clock=Clock())
    short = drawn(data, readers, max_seconds=6.9, clock=Clock())
    assert whole.skipped == ()
    assert short.skipped == (0.5,)
    assert [p.share for p in short.points] == [0.125, 0.25, 1.0]


def test_skipping_changes_no_other_point(data, readers):
    whole = drawn(data, readers)
    short = drawn(data, readers, max_seconds=1.5, clock=Clock())
    assert short.points == (whole.points[0], whole.points[-1])


def test_no_more_than_the_most_are_judged(data, readers, monkeypatch):
    monkeypatch.setattr(module, "MAX_JUDGED", 7)
    assert drawn(data, readers).judged_readers == 7


def test_readers_left_out_leave_the_others_as_they_were(data):
    some = of_readers(data, np.array([3, 5]))
    assert known(some) == {3, 5}
    for reader in (3, 5):
        ours, theirs = some.interactions.history(reader), data.interactions.history(reader)
        assert ours.book_nums.tolist() == theirs.book_nums.tolist()
    assert some.interactions.days.tolist() == [12, 13, 14, 15, 20, 21, 22, 23]
    assert some.interactions.matrix.shape == data.interactions.matrix.shape


def test_data_without_days_stay_without(data):
    bare = TrainingData(Interactions(data.interactions.matrix), data.books)
    assert of_readers(bare, np.array([1])).interactions.days is None


def test_a_curve_can_be_drawn_of_a_handful_of_readers(readers):
    few = of_readers(TrainingData(rows(0), catalogue().to_pandas()), np.array([0, 1, 2]))
    curve = drawn(few, readers)
    assert [p.readers for p in curve.points] == [1, 1, 2, 3]


def test_the_quick_part_is_taken_else_the_heaviest_that_learns():
    parts = {name: create(name) for name in ("content", "ease", "item_knn", "popularity")}
    weights = {"content": 0.7, "ease": 0.2, "item_knn": 0.0, "popularity": 0.1}
    assert learner(parts, weights) is parts["item_knn"]
    del parts["item_knn"]
    assert learner(parts, weights) is parts["ease"]
    assert learner({"content": parts["content"]}, weights) is None
