"""The model registry: MLflow behind one class; the only importer of mlflow."""

from pipelines.registry.bundle_folders import content_of
from pipelines.registry.entries import (
    CHALLENGER,
    CHAMPION,
    CONTENT,
    DATA_QUALITY_SCORE,
    PIPELINE_RUN,
    RETRAIN_WANTED,
    DataUsed,
    ModelVersion,
    Registry,
    Trial,
)
from pipelines.registry.mlflow_registry import MlflowRegistry

__all__ = [
    "CHALLENGER",
    "CHAMPION",
    "CONTENT",
    "DATA_QUALITY_SCORE",
    "PIPELINE_RUN",
    "RETRAIN_WANTED",
    "DataUsed",
    "MlflowRegistry",
    "ModelVersion",
    "Registry",
    "Trial",
    "content_of",
]
