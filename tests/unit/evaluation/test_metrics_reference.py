"""
Metrics against trec_eval, which every other implementation is held against, and SciPy.

trec_eval divides average precision by all relevant books; ours by as many as fit into the list, so
that a perfect list reaches 1. Its reciprocal rank knows no cut-off: it is given the cut list.
"""

import numpy as np
import pytest
import pytrec_eval
from scipy import sparse, stats
from scipy.spatial import distance

from pipelines.data.interactions import History
from pipelines.evaluation import metrics
from pipelines.evaluation.protocol import NO_FACTS, BookFacts, Holdout, evaluate
from pipelines.models.base import RankedBooks
from tests.unit.evaluation.test_protocol import ScoresBy

N_READERS, N_BOOKS = 300, 400


class Says(ScoresBy):
    """Gives each reader, known by the one book they met, a prepared list."""

    def __init__(self, lists):
        super().__init__(lambda _: np.zeros(N_BOOKS))
        self.lists = lists

    def recommend(self, histories, n, *, exclude_seen=True):
        return [self.lists[int(h.book_nums[0])] for h in histories]


def random_case(seed):
    """Lists of 0 to 20 books, of which some are among the 1 to 40 relevant ones."""
    rng = np.random.default_rng(seed)
    lists, relevant = [], []
    for reader in range(N_READERS):
        others = np.delete(np.arange(N_BOOKS), reader)
        wanted = np.sort(rng.choice(others, rng.integers(1, 41), replace=False))
        likely = np.where(np.isin(others, wanted), 8.0, 1.0)
        found = rng.choice(others, rng.integers(0, 21), replace=False, p=likely / likely.sum())
        lists.append(RankedBooks(found.astype(np.int32), -np.arange(len(found), dtype=np.float32)))
        relevant.append(wanted.astype(np.int32))
    histories = [History.of([reader]) for reader in range(N_READERS)]
    return lists, Holdout(histories, relevant, np.arange(N_READERS))


def measured(lists, readers, facts=NO_FACTS):
    return evaluate(
        Says(lists),
        readers,
        n_books=N_BOOKS,
        popularity=np.ones(N_BOOKS, np.int64),
        facts=facts,
        rng=np.random.default_rng(0),
    )


def of_trec_eval(lists, relevant):
    """Means over readers, by our names."""
    qrels = {str(r): {f"b{b}": 1 for b in books} for r, books in enumerate(relevant)}
    run = {
        str(r): {f"b{b}": float(s) for b, s in zip(one.book_nums, one.scores, strict=True)}
        for r, one in enumerate(lists)
    }
    top = {r: dict(list(scored.items())[:10]) for r, scored in run.items()}
    asked = {"ndcg_cut.10,20", "recall.10,20", "P.10", "map_cut.10", "success.10"}
    told = pytrec_eval.RelevanceEvaluator(qrels, asked).evaluate(run)
    ranks = pytrec_eval.RelevanceEvaluator(qrels, {"recip_rank"}).evaluate(top)
    n_relevant = np.array([len(books) for books in relevant])

    def values(name, source=told):
        return np.array([source.get(str(r), {}).get(name, 0.0) for r in range(len(relevant))])

    return {
        "ndcg_at_10": values("ndcg_cut_10").mean(),
        "ndcg_at_20": values("ndcg_cut_20").mean(),
        "recall_at_10": values("recall_10").mean(),
        "recall_at_20": values("recall_20").mean(),
        "precision_at_10": values("P_10").mean(),
        "map_at_10": (values("map_cut_10") * n_relevant / np.minimum(n_relevant, 10)).mean(),
        "mrr_at_10": values("recip_rank", ranks).mean(),
        "hit_rate_at_10": values("success_10").mean(),
    }


@pytest.mark.parametrize("seed", range(5))
def test_accuracy_equals_that_of_trec_eval(seed):
    lists, readers = random_case(seed)
    ours = measured(lists, readers)
    expected = of_trec_eval(lists, readers.relevant)
    assert set(expected) == set(ours.intervals)
    for name, value in expected.items():
        assert ours.metrics[name] == pytest.approx(value, abs=1e-9), name
        assert 0 < value < 1, f"{name} would agree whatever was computed"


@pytest.mark.parametrize("seed", range(3))
def test_slices_of_books_equal_trec_eval_with_their_books_alone(seed):
    lists, readers = random_case(seed)
    mask = np.random.default_rng(seed).random(N_BOOKS) < 0.1
    found = measured(lists, readers, BookFacts({"books_some": mask})).slices["books_some"]
    of_kind = [books[mask[books]] for books in readers.relevant]
    have = [i for i, books in enumerate(of_kind) if len(books)]
    expected = of_trec_eval([lists[i] for i in have], [of_kind[i] for i in have])
    assert found["n_readers"] == len(have) < N_READERS
    for name in ("ndcg_at_10", "recall_at_20"):
        assert found[name] == pytest.approx(expected[name], abs=1e-9), name


@pytest.mark.parametrize("seed", range(3))
def test_diversity_equals_the_cosine_distances_of_scipy(seed):
    lists, _ = random_case(seed)
    rng = np.random.default_rng(seed)
    vectors = rng.random((N_BOOKS, 12)) * (rng.random((N_BOOKS, 12)) < 0.3)
    known = vectors.any(axis=1)
    assert not known.all()
    of_lists = []
    for one in lists:
        chosen = one.book_nums[:10]
        chosen = chosen[known[chosen]]
        if len(chosen) > 1:
            of_lists.append(distance.pdist(vectors[chosen], "cosine").mean())
    documents = metrics.unit_rows(sparse.csr_array(vectors))
    found = metrics.diversity(metrics.book_matrix(lists, 10), documents)
    assert found == pytest.approx(np.mean(of_lists), abs=1e-9)


def test_novelty_equals_the_cross_entropy_of_scipy():
    """The mean surprise of a recommendation is entropy and divergence from what is read."""
    lists, _ = random_case(0)
    popularity = np.random.default_rng(0).integers(1, 500, N_BOOKS)
    counts = metrics.recommendation_counts(metrics.book_matrix(lists, 10), N_BOOKS)
    expected = stats.entropy(counts, base=2) + stats.entropy(counts, popularity, base=2)
    assert metrics.novelty(counts, popularity) == pytest.approx(expected, abs=1e-9)
