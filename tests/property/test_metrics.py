"""Metrics against a second implementation in plain Python, and the laws they obey."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import ndcg_score

from pipelines.evaluation import metrics
from pipelines.models.base import RankedBooks

N_BOOKS = 30
books = st.lists(st.integers(0, N_BOOKS - 1), unique=True, max_size=20)
cases = st.lists(st.tuples(books, books), min_size=1, max_size=6)
cutoffs = st.integers(1, 12)


def ranked(nums):
    return RankedBooks(np.asarray(nums, np.int32), -np.arange(len(nums), dtype=np.float32))


def hits_and_relevant(cases, k):
    relevant = [np.asarray(r, np.int32) for _, r in cases]
    hits = metrics.hit_matrix([ranked(found) for found, _ in cases], relevant, k)
    return hits, np.array([len(r) for r in relevant])


def accuracy(hits, n_relevant):
    return {
        "ndcg": metrics.ndcg(hits, n_relevant),
        "recall": metrics.recall(hits, n_relevant),
        "precision": metrics.precision(hits),
        "map": metrics.average_precision(hits, n_relevant),
        "mrr": metrics.reciprocal_rank(hits),
        "hit_rate": metrics.hit_rate(hits),
    }


def slow_accuracy(found, relevant, k):
    wanted = set(relevant)
    dcg = found_so_far = precisions = first = 0
    for rank, book in enumerate(found[:k], start=1):
        if book in wanted:
            found_so_far += 1
            dcg += 1 / math.log2(rank + 1)
            precisions += found_so_far / rank
            first = first or rank
    best = min(k, len(wanted))
    ideal = sum(1 / math.log2(rank + 1) for rank in range(1, best + 1))
    return {
        "ndcg": dcg / ideal if best else 0.0,
        "recall": found_so_far / len(wanted) if best else 0.0,
        "precision": found_so_far / k,
        "map": precisions / best if best else 0.0,
        "mrr": 1 / first if first else 0.0,
        "hit_rate": 1.0 if first else 0.0,
    }


@given(cases, cutoffs)
def test_equals_the_slow_implementation(cases, k):
    """Vectorised metrics equal those computed book by book."""
    fast = accuracy(*hits_and_relevant(cases, k))
    for reader, (found, relevant) in enumerate(cases):
        for name, value in slow_accuracy(found, relevant, k).items():
            assert fast[name][reader] == pytest.approx(value, abs=1e-9), name


@given(cases, cutoffs)
def test_lies_between_0_and_1(cases, k):
    """No accuracy metric leaves 0..1, and each is a float64 a reader."""
    for name, values in accuracy(*hits_and_relevant(cases, k)).items():
        assert values.shape == (len(cases),), name
        assert values.dtype == np.float64, name
        assert ((values >= 0) & (values <= 1)).all(), name


@given(st.lists(st.booleans(), min_size=1, max_size=12), st.data())
def test_one_more_hit_never_hurts(row, data):
    """Metrics are monotone in hits."""
    rank = data.draw(st.integers(0, len(row) - 1))
    before = np.array([row])
    after = before.copy()
    after[0, rank] = True
    n_relevant = np.array([data.draw(st.integers(int(after.sum()), 30))])
    worse, better = accuracy(before, n_relevant), accuracy(after, n_relevant)
    for name in worse:
        assert better[name][0] >= worse[name][0] - 1e-12, name


@given(st.lists(st.booleans(), min_size=2, max_size=12), st.data())
def test_earlier_hit_is_never_worse(row, data):
    """Metrics never fall when a hit moves up by one rank."""
    rank = data.draw(st.integers(1, len(row) - 1))
    low, high = [*row], [*row]
    low[rank - 1], low[rank] = False, True
    high[rank - 1], high[rank] = True, False
    n_relevant = np.array([max(sum(low), 1)])
    worse, better = accuracy(np.array([low]), n_relevant), accuracy(np.array([high]), n_relevant)
    for name in worse:
        assert better[name][0] >= worse[name][0] - 1e-12, name


@given(cutoffs, st.integers(1, 20))
def test_perfect_list_gives_1(k, n_relevant):
    """All relevant books first is as good as it gets."""
    relevant = list(range(n_relevant))
    values = accuracy(*hits_and_relevant([(list(range(20)), relevant)], k))
    for name in ("ndcg", "map", "mrr", "hit_rate"):
        assert values[name][0] == pytest.approx(1, abs=1e-12), name
    assert values["recall"][0] == pytest.approx(min(k, n_relevant) / n_relevant)
    assert values["precision"][0] == pytest.approx(min(k, n_relevant) / k)


@given(st.permutations(range(N_BOOKS)), books.filter(bool), cutoffs)
def test_ndcg_equals_that_of_scikit_learn(order, relevant, k):
    """Where the whole catalogue is ranked without ties, both definitions coincide."""
    truth, scores = np.zeros((1, N_BOOKS)), np.zeros((1, N_BOOKS))
    truth[0, relevant] = 1
    scores[0, order] = -np.arange(N_BOOKS)
    hits, n_relevant = hits_and_relevant([(order, relevant)], k)
    assert metrics.ndcg(hits, n_relevant)[0] == pytest.approx(
        ndcg_score(truth, scores, k=k), abs=1e-9
    )


@given(st.lists(st.integers(0, 50), min_size=1, max_size=30))
def test_gini_equals_mean_absolute_difference(counts):
    """The Gini index is half the relative mean absolute difference of all pairs."""
    total, n = sum(counts), len(counts)
    slow = sum(abs(a - b) for a in counts for b in counts) / (2 * n * total) if total else 0.0
    assert metrics.gini(np.array(counts)) == pytest.approx(slow, abs=1e-9)


@given(cases, st.randoms(use_true_random=False))
def test_readers_do_not_touch_each_other(cases, random):
    """A reader's metrics stay the same wherever the reader stands."""
    order = list(range(len(cases)))
    random.shuffle(order)
    straight = accuracy(*hits_and_relevant(cases, 10))
    shuffled = accuracy(*hits_and_relevant([cases[i] for i in order], 10))
    for name, values in straight.items():
        assert values[order].tolist() == shuffled[name].tolist(), name
