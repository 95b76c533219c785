"""A reader in registered models."""

from pathlib import Path

from pipelines.models.bundle import ModelBundle
from pipelines.registry import PIPELINE_RUN, RETRAIN_WANTED, MlflowRegistry, ModelVersion
from pipelines.run_params import trained_on

REPORTS = ("data_quality_report", "data_docs")
"""Tags of a version that say where reports on its data lie."""


def library_of(version: ModelVersion) -> str:
    """The library that a version was trained on."""
    return trained_on(version).dataset


def holds(registry: MlflowRegistry, version: ModelVersion, user_id: str, cache: Path) -> bool:
    """Whether the bundle of a version knows this reader."""
    bundle = ModelBundle.load(registry.fetch(version.version, cache))
    return bundle.users.parse(user_id) is not None


def erase_from(registry: MlflowRegistry, version: ModelVersion, user_id: str, when: str) -> bool:
    """
    Rewrite the bundle of a version without a reader, and mark it for retraining.

    The mark comes first: once the reader is out of the bundle nothing would tell it any more.
    """

    def without(folder: Path, target: Path) -> bool:
        others = ModelBundle.load(folder).without_reader(user_id)
        if others is None:
            return False
        registry.tag(version.version, RETRAIN_WANTED, f"erasure {when}")
        others.save(target)
        return True

    return registry.rewrite(version.version, without)


def note_removed_reports(registry: MlflowRegistry, run_ids: set[str], note: str) -> None:
    """Where a version says that reports on its data lie, say why they are gone."""
    for version in registry.versions():
        if version.tags.get(PIPELINE_RUN) in run_ids:
            for tag in REPORTS:
                registry.tag(version.version, tag, note)
