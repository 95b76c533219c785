"""A real bundle of six readers and twelve books in two tastes, made in a moment."""

from pathlib import Path

import numpy as np
import pyarrow as pa

from pipelines.data.interactions import Interactions, TrainingData, Vocabulary
from pipelines.data.schemas import BOOKS
from pipelines.models.bundle import ModelBundle
from pipelines.models.hybrid import HybridConfig, HybridRecommender
from pipelines.models.item_knn import ItemKnnConfig, ItemKnnRecommender
from pipelines.models.popularity import PopularityConfig, PopularityRecommender

READERS, BOOK_COUNT = 6, 12


def save_small_bundle(folder: Path, *, title: str = "Book") -> Path:
    """Readers 1, 3, 5 like books of odd number, the others the even ones; each misses one."""
    pairs = [
        (reader, book)
        for reader in range(READERS)
        for book in range(BOOK_COUNT)
        if book % 2 == reader % 2 and book // 2 != reader
    ]
    user_nums, book_nums = np.array(pairs).T
    interactions = Interactions.build(
        user_nums, book_nums, np.ones(len(pairs), np.float32), (READERS, BOOK_COUNT)
    )
    catalogue = _catalogue(title)
    data = TrainingData(interactions, catalogue.to_pandas())
    rng = np.random.default_rng(0)
    popularity = PopularityRecommender(PopularityConfig()).fit(data, rng=rng)
    knn = ItemKnnRecommender(ItemKnnConfig()).fit(data, rng=rng)
    hybrid = HybridRecommender(
        HybridConfig(weights={"popularity": 0.1, "item_knn": 0.9}),
        {"popularity": popularity, "item_knn": knn},
    )
    users, books = _numbers(READERS), _numbers(BOOK_COUNT)
    ModelBundle(hybrid, popularity, users, books, interactions, catalogue).save(folder)
    return folder


def _numbers(count: int) -> Vocabulary:
    return Vocabulary(np.arange(1, count + 1, dtype=np.int64))


def _catalogue(title: str) -> pa.Table:
    schema = BOOKS.set(0, pa.field("book_id", pa.int64()))
    rows = [
        {"book_id": n, "title": f"{title} {n}", "authors": ["Ada Author"], "genres": [], "row": n}
        for n in range(1, BOOK_COUNT + 1)
    ]
    return pa.Table.from_pylist(rows, schema)
