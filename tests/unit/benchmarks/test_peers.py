from typing import ClassVar

import numpy as np
from scipy import sparse
from threadpoolctl import threadpool_limits

from benchmarks.peers.base import BookNums, Peer, Space
from benchmarks.peers.implicit_models import MODELS
from benchmarks.peers.search import draw_configs


class Alphabetic(Peer):
    """Recommends books by their number."""

    space: ClassVar[Space] = {}

    def prepare(self, liked: sparse.csr_matrix) -> None: ...

    def fit(self, *, seed: int) -> None: ...

    def best(self, user_num: int, n: int) -> BookNums:
        return np.arange(10, dtype=np.int32)[:n]


def test_met_books_are_left_out_and_the_list_is_still_full():
    assert Alphabetic().unmet(0, np.array([0, 2], np.int32), 3).tolist() == [1, 3, 4]


def test_no_configuration_is_drawn_twice():
    configs = draw_configs({"a": (1, 2, 3), "b": (4, 5)}, 6, np.random.default_rng(0))
    assert len({tuple(c.values()) for c in configs}) == 6


def test_a_small_space_is_tried_out():
    assert draw_configs({}, 12, np.random.default_rng(0)) == [{}]
    assert len(draw_configs({"a": (1, 2)}, 12, np.random.default_rng(0))) == 2


def test_every_implicit_model_finds_books_of_the_same_taste():
    rows, columns = np.indices((40, 20))
    likes = ((rows + columns) % 2 == 0) & ((rows + columns) % 3 != 0)
    matrix = sparse.csr_matrix(likes.astype(np.float32))
    for name, model in MODELS.items():
        peer = model(**{key: values[2] for key, values in model.space.items()})
        peer.prepare(matrix)
        with threadpool_limits(1, "blas"):  # or implicit warns
            peer.fit(seed=0)
        assert (peer.unmet(0, np.flatnonzero(likes[0]), 3) % 2 == 0).all(), name
