import numpy as np

from pipelines.evaluation.affordable import choose_damping, choose_new_books

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


def new_board(wanted: int) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """Twelve old books come before the new 59 until it is trusted; everybody wants `wanted`."""
    least, _ = board(own=0)
    most = least.copy()
    least[:, 59], most[:, 59] = 0.5, 1.5
    return least, most, [np.array([wanted], np.int32)] * READERS


def test_new_books_that_are_wanted_are_shown():
    knob, reached = choose_new_books(*new_board(wanted=59), price=0)
    assert knob > 0.5
    assert reached[0.0] == 0
    assert reached[knob] == 1


def test_new_books_that_nobody_wants_are_shown_as_far_as_the_price_goes():
    board_of_old = new_board(wanted=9)
    free, _ = choose_new_books(*board_of_old, price=0)
    dear, reached = choose_new_books(*board_of_old, price=1)
    assert reached[free] == reached[0.0] > reached[1.0]
    assert free < dear == 1


def test_what_nobody_speaks_of_stays_unsaid():
    least, most, wanted = new_board(wanted=59)
    least[:, 0] = most[:, 0] = -np.inf
    assert choose_new_books(least, most, wanted, price=0)[0] > 0.5


def test_with_few_readers_new_books_are_not_trusted():
    least, most, wanted = new_board(wanted=59)
    assert choose_new_books(least[:29], most[:29], wanted[:29], price=1) == (0.0, {})
