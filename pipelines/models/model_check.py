"""What a model has to pass before it answers readers."""

from collections.abc import Callable
from pathlib import Path

from pipelines.errors import ArtifactError
from pipelines.models.bundle import ModelBundle
from pipelines.models.golden import check_golden_answers


def checked(load: Callable[[Path], ModelBundle], folder: Path) -> ModelBundle:
    """
    Open a bundle, ask it what readers will ask it, and hold it to its golden answers.

    Raises:
        ArtifactError: it does not open, fails, has no book to recommend, or has changed its mind.
    """
    try:
        bundle = load(folder)
        bundle.recommend(str(next(iter(bundle.users), "")), 1)
        popular = bundle.popular(1)
        check_golden_answers(bundle, folder)
    except ArtifactError:
        raise
    except Exception as error:  # whatever it is, readers would meet it next
        raise ArtifactError(f"the model fails at its first question: {error!r}") from error
    if not popular.items:
        raise ArtifactError("the model has no book to recommend")
    return bundle
