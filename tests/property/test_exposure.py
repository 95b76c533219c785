"""Laws of how lists are spread over the catalogue, whatever the scores."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from pipelines.evaluation.affordable import KNOBS, MIN_READERS, choose_damping
from pipelines.models.base import rank
from pipelines.models.exposure import LIST_LENGTH, damped, fair_thresholds

SAID = st.one_of(st.sampled_from([0.0, 0.5, 1.0]), st.floats(0, 1, width=32))
VALUES = st.one_of(st.just(-np.inf), SAID)
MATRICES = arrays(np.float32, array_shapes(min_dims=2, max_dims=2, max_side=20), elements=VALUES)


@given(MATRICES)
def test_a_threshold_is_reached_by_a_fair_share_of_readers(scores):
    """As many as a book would be shown to, were all shown equally often; or all there are."""
    n_readers, n_books = scores.shape
    share = min(max(round(LIST_LENGTH * n_readers / n_books), 1), n_readers)
    for column, threshold in zip(scores.T, fair_thresholds(scores), strict=True):
        said = column[np.isfinite(column)]
        if len(said) >= share:
            assert (said >= threshold).sum() >= share
            assert (said > threshold).sum() < share
        else:
            assert threshold == 0


@given(MATRICES, st.randoms())
def test_thresholds_do_not_depend_on_the_order_of_readers(scores, random):
    """Readers are a set."""
    order = list(range(len(scores)))
    random.shuffle(order)
    assert fair_thresholds(scores[order]).tolist() == fair_thresholds(scores).tolist()


@given(st.data(), MATRICES)
def test_the_more_damping_the_less_shown_is_the_head(data, scores):
    """What the n best must reach, taken together, never rises with the knob."""
    thresholds = fair_thresholds(scores)
    low, high = sorted([data.draw(SAID), data.draw(SAID)])
    n = data.draw(st.integers(1, scores.shape[1]))
    must = [
        thresholds[rank(damped(scores[0], thresholds, knob), n).book_nums].sum()
        for knob in (low, high)
    ]
    # Books that float32 cannot tell apart may change places.
    assert high - low < 1e-3 or must[1] <= must[0] + 1e-2


@settings(deadline=None)
@given(MATRICES, st.floats(0, 0.9), st.floats(0, 0.9), st.data())
def test_a_higher_price_never_buys_less(scores, one, other, data):
    """And what is chosen never costs more than was offered."""
    n_books = scores.shape[1]
    relevant = [
        np.array([data.draw(st.integers(0, n_books - 1))], np.int32) for _ in range(len(scores))
    ]
    cheap, dear = sorted([one, other])
    enough = -(-MIN_READERS // len(scores))
    many = np.tile(scores, (enough, 1)), relevant * enough
    less, reached = choose_damping(*many, price=cheap)
    more, _ = choose_damping(*many, price=dear)
    assert set(reached) == set(KNOBS)
    assert less <= more
    assert reached[less] >= (1 - cheap) * max(reached.values()) - 1e-12
