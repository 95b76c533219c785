"""Models of implicit; it has no EASE."""

import warnings
from typing import Any, ClassVar

import numpy as np
from implicit.cpu.als import AlternatingLeastSquares
from implicit.nearest_neighbours import BM25Recommender, CosineRecommender, TFIDFRecommender
from implicit.utils import ParameterWarning
from scipy import sparse

from benchmarks.peers.base import (
    EPOCHS,
    NEIGHBOURS,
    POSITIVE_WEIGHTS,
    REGULARIZATION,
    SIZES,
    BookNums,
    Peer,
    Space,
)


class ImplicitPeer(Peer):
    """`model_class` is implicit's; its threads follow OMP_NUM_THREADS."""

    model_class: type[Any]

    def prepare(self, liked: sparse.csr_matrix) -> None:
        self._liked = liked

    def fit(self, *, seed: int) -> None:
        self._model = self._create(seed)
        with warnings.catch_warnings(
            category=ParameterWarning, action="ignore"
        ):  # of its own matrix
            self._model.fit(self._liked, show_progress=False)

    def _create(self, seed: int) -> Any:  # noqa: ARG002 - only ALS draws
        return self.model_class(**self.config)

    def best(self, user_num: int, n: int) -> BookNums:
        nums, _ = self._model.recommend(
            user_num, self._liked[user_num], N=n, filter_already_liked_items=False
        )
        return nums[nums >= 0].astype(np.int32)


class Cosine(ImplicitPeer):
    model_class = CosineRecommender
    space: ClassVar[Space] = {"K": NEIGHBOURS}


class TfIdf(ImplicitPeer):
    model_class = TFIDFRecommender
    space: ClassVar[Space] = {"K": NEIGHBOURS}


class Bm25(ImplicitPeer):
    model_class = BM25Recommender
    space: ClassVar[Space] = {
        "K": NEIGHBOURS,
        "K1": (1.2, 10.0, 100.0),
        "B": (0.25, 0.5, 0.75),
    }


class Als(ImplicitPeer):
    model_class = AlternatingLeastSquares
    space: ClassVar[Space] = {
        "factors": SIZES,
        "regularization": REGULARIZATION,
        "alpha": POSITIVE_WEIGHTS,
        "iterations": EPOCHS,
    }

    def _create(self, seed: int) -> Any:
        return AlternatingLeastSquares(**self.config, random_state=np.random.default_rng(seed))


MODELS: dict[str, type[Peer]] = {
    "implicit Cosine": Cosine,
    "implicit TF-IDF": TfIdf,
    "implicit BM25": Bm25,
    "implicit ALS": Als,
}
