"""A registered champion of a given size, trained on invented readers, on servers of its own."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from benchmarks.synthetic import synthetic_dataset
from pipelines.data.splits import Part
from pipelines.models.bundle import ModelBundle
from pipelines.models.factory import create
from pipelines.models.hybrid import HybridConfig, HybridRecommender
from pipelines.models.popularity import PopularityRecommender
from pipelines.registry import CHAMPION, MlflowRegistry
from pipelines.settings import Settings
from pipelines.storage.services import running_services

PARTS = ("popularity", "item_knn", "ease", "matrix_factorization", "content")
HYBRID = "hybrid"


def bundle_of(n_books: int, n_ratings: int, *, seed: int = 0) -> ModelBundle:
    """All parts of the default hybrid in equal shares; the untuned models that a first run has."""
    dataset = synthetic_dataset(n_ratings, n_books=n_books, seed=seed)
    data, rng = dataset.training_data(Part.TRAIN), np.random.default_rng(seed)
    parts = {name: create(name) for name in PARTS}
    config = HybridConfig(weights=dict.fromkeys(PARTS, 1.0), damping=0.3)
    hybrid = HybridRecommender(config, parts).fit(data, rng=rng)
    popularity = PopularityRecommender().fit(data, rng=rng)
    return ModelBundle(
        hybrid, popularity, dataset.users, dataset.books, data.interactions, dataset.catalogue
    )


@contextmanager
def registered(bundle: ModelBundle) -> Iterator[Settings]:
    """Settings of a home that is thrown away, where this bundle is champion."""
    with tempfile.TemporaryDirectory(prefix="bookrec-benchmark-") as folder:
        own = dict.fromkeys(
            ("storage_url", "database_url", "redis_url", "mlflow_tracking_uri",
             "mlflow_artifact_root")
        )  # fmt: skip
        with running_services(Settings(home=Path(folder), **own)) as settings:
            registry = MlflowRegistry.from_settings(settings)
            registry.prepare()
            registry.record_run(HYBRID, "benchmark", params={}, metrics={}, tags={})
            bundle.save(Path(folder) / "bundle")
            version = registry.register(HYBRID, "benchmark", Path(folder) / "bundle", {})
            registry.set_alias(CHAMPION, version.version)
            yield settings
