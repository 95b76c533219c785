"""Whether a registered version can be served: what the service checks, before it is champion."""

from pathlib import Path

from pipelines.errors import ArtifactError, RegistryError, ReleaseError
from pipelines.models.bundle import ModelBundle
from pipelines.models.model_check import checked
from pipelines.registry import Registry


def check_servable(registry: Registry, version: int, model_cache: Path) -> None:
    """
    Check checksums, a first question and golden answers.

    Raises:
        ReleaseError: one of them fails.
    """
    try:
        checked(ModelBundle.load, registry.fetch(version, model_cache))
    except (ArtifactError, RegistryError) as error:
        raise ReleaseError(f"version {version} cannot be served: {error}") from error
