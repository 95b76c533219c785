"""Books liked by the same readers: item neighbours by normalised co-occurrence."""

from typing import ClassVar

import numpy as np
from pydantic import Field
from scipy import sparse

from pipelines.data.interactions import TrainingData
from pipelines.models.base import ModelConfig, Range, SearchSpace
from pipelines.models.item_weights import (
    ItemWeightsConfig,
    ItemWeightsRecommender,
    inverse_power,
    largest_products,
)


class ItemKnnConfig(ItemWeightsConfig):
    """
    See `ItemKnnRecommender` for the formula.

    Cosine is exponents 0, 0.5, 0.5 without shrinkage; RP3beta [Paudel et al. 2017,
    doi 10.1145/2955101] is 1, 1, beta; a damped user exponent with 0.5, 0.5 behaves as BM25 does.
    """

    k_neighbors: int = Field(300, ge=1)
    shrinkage: float = Field(2.0, ge=0)
    """So many more readers does each book seem to have: few shared ones say less."""
    user_exponent: float = Field(0.5, ge=0)
    """Above 0, a reader of many books says less about each pair of them."""
    item_exponent: float = Field(0.5, ge=0)
    """Above 0, a much read book of the history says less."""
    candidate_exponent: float = Field(0.6, ge=0)
    """Above 0, a much read book is recommended less."""


class ItemKnnRecommender(ItemWeightsRecommender):
    """
    Weighs book j for book i by how many readers they share.

    W_ij = sum_u(x_ui x_uj / n_u^user_exponent)
           / ((n_i + shrinkage)^item_exponent (n_j + shrinkage)^candidate_exponent)

    where x_ui is the weight of book i for reader u, n_u the sum of the reader's weights and n_i
    the sum of the book's. Row i keeps its `k_neighbors` largest W_ij.

    Notes:
        O(sum of squared history lengths) time; the product is never held whole.
    """

    name: ClassVar[str] = "item_knn"
    config_class: ClassVar[type[ModelConfig]] = ItemKnnConfig
    search_space: ClassVar[SearchSpace] = {
        "shrinkage": Range(0.1, 30, log=True),
        "user_exponent": Range(0, 1.2),
        "item_exponent": Range(0, 1.2),
        "candidate_exponent": Range(0, 1.2),
        "recency": Range(0, 1.5),
    }
    config: ItemKnnConfig

    def _learn(self, data: TrainingData) -> sparse.csr_array:
        config = self.config
        liked = data.interactions.liked
        sums = np.asarray(liked.sum(axis=0)) + config.shrinkage
        by_reader = inverse_power(np.asarray(liked.sum(axis=1)), config.user_exponent)
        by_item = inverse_power(sums, config.item_exponent)
        by_candidate = inverse_power(sums, config.candidate_exponent)
        items = sparse.diags_array(by_item) @ liked.T @ sparse.diags_array(by_reader)
        candidates = liked @ sparse.diags_array(by_candidate)
        return largest_products(items, candidates, config.k_neighbors)
