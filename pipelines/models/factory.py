"""The models that a hybrid can be made of, by name."""

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from pipelines.errors import ArtifactError, ConfigurationError
from pipelines.models.artifact import read_manifest
from pipelines.models.base import ModelConfig, Recommender
from pipelines.models.content import ContentConfig, ContentRecommender
from pipelines.models.item_knn import ItemKnnConfig, ItemKnnRecommender
from pipelines.models.matrix_factorization import (
    MatrixFactorizationConfig,
    MatrixFactorizationRecommender,
)
from pipelines.models.popularity import PopularityConfig, PopularityRecommender

MODELS: dict[str, tuple[type[ModelConfig], type[Recommender]]] = {
    PopularityRecommender.name: (PopularityConfig, PopularityRecommender),
    ItemKnnRecommender.name: (ItemKnnConfig, ItemKnnRecommender),
    MatrixFactorizationRecommender.name: (
        MatrixFactorizationConfig,
        MatrixFactorizationRecommender,
    ),
    ContentRecommender.name: (ContentConfig, ContentRecommender),
}


def create(name: str, **config: Any) -> Recommender:
    """
    An unfitted model.

    Raises:
        ConfigurationError: no such model, or its config is not valid.
    """
    if name not in MODELS:
        raise ConfigurationError(f"there is no model {name}: choose from {', '.join(MODELS)}")
    config_class, model_class = MODELS[name]
    try:
        return model_class(config_class(**config))
    except ValidationError as error:
        wrong = "; ".join(
            f"{'.'.join(str(part) for part in e['loc'])}: {e['msg']}" for e in error.errors()
        )
        raise ConfigurationError(f"model {name}: {wrong}") from None


def load_model(folder: Path) -> Recommender:
    """
    Open a saved model, whichever of these it is.

    Raises:
        ArtifactError: none of these, or not as it was written.
    """
    kind = read_manifest(folder).kind
    if kind not in MODELS:
        raise ArtifactError(f"{folder} holds a {kind}, not one of {', '.join(MODELS)}")
    return MODELS[kind][1].load(folder)
