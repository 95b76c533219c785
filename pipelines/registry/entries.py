"""What a registry holds, and what stages and the service need of one."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

CHAMPION = "champion"
CHALLENGER = "challenger"
PIPELINE_RUN = "pipeline_run"
CONTENT = "content_sha256"
"""Tag of a version: `content_of` its bundle."""
DATA_QUALITY_SCORE = "data_quality_score"
"""Tag of a version: what its batch scored, 0 to 100."""
RETRAIN_WANTED = "retrain_wanted"
"""Tag of a version that has to be replaced: why, and since when."""


@dataclass(frozen=True)
class ModelVersion:
    """One registered version."""

    version: int
    run_id: str
    created_at: datetime
    aliases: tuple[str, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class DataUsed:
    """What a run learnt from, as MLflow lists it among the run's datasets."""

    name: str
    digest: str
    source: str
    location: str
    """Where the source read, without a password; empty where it needs no place."""
    counts: Mapping[str, int]
    """Of readers, books, rows and the like."""


@dataclass(frozen=True)
class Trial:
    """One attempt at finding hyperparameters."""

    number: int
    params: Mapping[str, Any]
    metrics: Mapping[str, float]
    state: str
    started_at: datetime
    seconds: float


class Registry(Protocol):
    """What stages and the service need of a registry."""

    def record_run(
        self,
        name: str,
        pipeline_run: str,
        *,
        params: Mapping[str, Any],
        metrics: Mapping[str, float],
        tags: Mapping[str, str],
        data: DataUsed | None = None,
    ) -> str:
        """Create the run of one model, or add to it if it exists; gives its id."""

    def register(
        self, name: str, pipeline_run: str, bundle: Path, tags: Mapping[str, str]
    ) -> ModelVersion:
        """
        Register a bundle under the run that `record_run` made.

        The same bundle of the same pipeline run is registered once.
        """

    def set_alias(self, alias: str, version: int) -> None:
        """Point an alias at a version; this one call is a promotion or a rollback."""

    def by_alias(self, alias: str) -> ModelVersion | None:
        """The version that an alias points at."""

    def versions(self) -> list[ModelVersion]:
        """All versions, newest first."""

    def fetch(self, version: int, target: Path) -> Path:
        """A local folder with the version's bundle; downloaded below `target` if it is remote."""
