"""The models that a hybrid can be made of, by name: ours, and those of other packages."""

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from pipelines.errors import ArtifactError, ConfigurationError
from pipelines.models.artifact import read_manifest
from pipelines.models.base import Recommender
from pipelines.plugins import Plugins


def _is_model(name: str, found: Any) -> bool:
    # A model saves under its own name, and is opened by it.
    return isinstance(found, type) and issubclass(found, Recommender) and found.name == name


_MODELS = Plugins("bookrec.models", "model", "Recommender of that name", _is_model)


def model_names() -> list[str]:
    """Every model that is installed; imports none of them."""
    return _MODELS.names()


def model_class(name: str) -> type[Recommender]:
    """
    The class of a model.

    Raises:
        ConfigurationError: no such model.
    """
    found: type[Recommender] = _MODELS.load(name)
    return found


def create(name: str, **config: Any) -> Recommender:
    """
    An unfitted model.

    Raises:
        ConfigurationError: no such model, or its config is not valid.
    """
    kind = model_class(name)
    try:
        return kind(kind.config_class(**config))
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
        ConfigurationError: the package that offers its kind is broken.
    """
    kind = read_manifest(folder).kind
    if kind not in model_names():
        known = ", ".join(model_names())
        raise ArtifactError(
            f"{folder} holds a {kind}, not one of {known}: install the package that offers it"
        )
    return model_class(kind).load(folder)
