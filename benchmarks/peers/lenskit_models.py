"""Models of LensKit, told that feedback is implicit."""

import logging
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import structlog
from lenskit.als import ImplicitMFScorer
from lenskit.basic import PopScorer
from lenskit.data import Dataset, ItemList, RecQuery, from_interactions_df
from lenskit.knn import EASEScorer, ItemKNNScorer, UserKNNScorer
from lenskit.training import TrainingOptions
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

structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))


class LensKitPeer(Peer):
    """`scorer_class` is LensKit's; its threads follow LK_NUM_THREADS and its kin."""

    scorer_class: ClassVar[type[Any]]
    fixed: ClassVar[Mapping[str, Any]] = {}
    """Parameters that are not tuned."""

    def prepare(self, liked: sparse.csr_matrix) -> None:
        self._liked = liked
        self._data = _dataset(liked)
        self._every_book = ItemList(
            item_nums=np.arange(len(self._data.items)), vocabulary=self._data.items
        )

    def fit(self, *, seed: int) -> None:
        self._scorer = self.scorer_class(**self.fixed, **self.config)
        self._scorer.train(self._data, TrainingOptions(rng=seed))

    def best(self, user_num: int, n: int) -> BookNums:
        scores = self._score(user_num).scores()
        order = np.argsort(-scores, kind="stable")[:n]  # NaN, no score, goes last
        best = order[np.isfinite(scores[order])]
        return self._every_book.ids()[best].astype(np.int32)

    def _score(self, user_num: int) -> ItemList:
        row = slice(*self._liked.indptr[user_num : user_num + 2])
        history = ItemList(self._liked.indices[row], vocabulary=self._data.items)
        return self._scorer(RecQuery(user_id=user_num, user_items=history), self._every_book)


def _dataset(liked: sparse.csr_matrix) -> Dataset:
    pairs = liked.tocoo()
    return from_interactions_df(pd.DataFrame({"user_id": pairs.row, "item_id": pairs.col}))


class Popularity(LensKitPeer):
    scorer_class = PopScorer
    space: ClassVar[Space] = {}

    def _score(self, user_num: int) -> ItemList:  # noqa: ARG002 - it is the same for all
        return self._scorer(self._every_book)


class ItemKnn(LensKitPeer):
    scorer_class = ItemKNNScorer
    fixed: ClassVar[Mapping[str, Any]] = {"feedback": "implicit"}
    space: ClassVar[Space] = {
        "max_nbrs": NEIGHBOURS,
        "save_nbrs": (200, None),
        "min_sim": (1e-6, 0.05),
    }


class UserKnn(LensKitPeer):
    scorer_class = UserKNNScorer
    fixed: ClassVar[Mapping[str, Any]] = {"feedback": "implicit"}
    space: ClassVar[Space] = {"max_nbrs": NEIGHBOURS, "min_sim": (1e-6, 0.1)}


class ImplicitMf(LensKitPeer):
    scorer_class = ImplicitMFScorer
    space: ClassVar[Space] = {
        "embedding_size": SIZES,
        "regularization": REGULARIZATION,
        "weight": POSITIVE_WEIGHTS,
        "epochs": EPOCHS,
    }


class Ease(LensKitPeer):
    scorer_class = EASEScorer
    space: ClassVar[Space] = {
        "regularization": (1, 10, 30, 60, 100, 200, 300, 500, 750, 1000, 2000, 5000)
    }


MODELS: dict[str, type[Peer]] = {
    "LensKit popularity": Popularity,
    "LensKit ItemKNN": ItemKnn,
    "LensKit UserKNN": UserKnn,
    "LensKit ImplicitMF": ImplicitMf,
    "LensKit EASE": Ease,
}
