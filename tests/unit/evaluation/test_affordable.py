import numpy as np

from pipelines.evaluation.affordable import choose_damping

READERS = 40
N_BOOKS = 60


def board(own: float) -> tuple[np.ndarray, list[np.ndarray]]:
    """Twelve books suit everybody; each reader wants one of the others, scored `own`."""
    scores = np.full((READERS, N_BOOKS), 0.0, np.float32)
    scores[:, :12] = np.linspace(1, 0.9, 12)
    wanted = [np.array([12 + reader], np.int32) for reader in range(READERS)]
    for row, books in zip(scores, wanted, strict=True):
        row[books] = own
    return scores, wanted


def test_damping_that_finds_more_is_taken_for_nothing():
    scores, wanted = board(own=0.8)
    knob, reached = choose_damping(scores, wanted, price=0)
    assert knob > 0
    assert reached[0.0] == 0
    assert reached[knob] == max(reached.values()) > 0.5


def test_damping_that_costs_is_not_taken_for_nothing():
    scores, _ = board(own=0.8)
    popular = [np.array([0], np.int32)] * READERS
    assert choose_damping(scores, popular, price=0)[0] < 0.5


def test_with_few_readers_there_is_no_damping():
    scores, wanted = board(own=0.8)
    assert choose_damping(scores[:29], wanted[:29], price=0.5) == (0.0, {})
    assert choose_damping(scores[:0], [], price=0.5) == (0.0, {})
