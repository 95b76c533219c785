import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pipelines.models.base import rank
from pipelines.models.blending import normalised

# Few distinct values, so that ties are the rule.
VALUES = st.one_of(st.sampled_from([-np.inf, -1.0, 0.0, 0.5, 1.0]), st.floats(-1e6, 1e6, width=32))
SCORES = arrays(np.float32, st.integers(1, 40), elements=VALUES)


@given(SCORES, st.integers(1, 50), st.data())
def test_ranking_is_the_head_of_a_full_sort(scores, n, data):
    """Sorting everything by falling score, then by book_num, and cutting gives the same list."""
    books = st.integers(0, len(scores) - 1)
    seen = np.array(data.draw(st.lists(books, unique=True)), np.int32)
    unseen = [b for b in range(len(scores)) if b not in seen and np.isfinite(scores[b])]
    expected = sorted(unseen, key=lambda book: (-scores[book], book))[:n]
    ranked = rank(scores.copy(), n, seen)
    assert ranked.book_nums.tolist() == expected
    assert ranked.scores.tolist() == scores[expected].tolist()


@given(SCORES)
def test_normalising_keeps_the_order(scores):
    """Scores stay within [0, 1], and no book overtakes another."""
    unit = normalised(scores)
    if unit is None:
        assert not np.isfinite(scores).any()
        return
    assert ((unit >= 0) & (unit <= 1)).all()
    order = np.argsort(scores, kind="stable")
    if np.isfinite(scores).all():
        assert (np.diff(unit[order]) >= 0).all()
    assert unit[np.argmax(scores)] == pytest.approx(1, abs=1e-6)
