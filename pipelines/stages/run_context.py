"""The composition root of batch runs: what a stage needs, made from settings and run parameters."""

import hashlib
import json
import os
import re
import subprocess
import time
import zlib
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import structlog
from pydantic import BaseModel, ConfigDict, Field, field_serializer, field_validator
from sqlalchemy.orm import Session

from pipelines.data.sources.locations import absolute, library_name, short_name, without_password
from pipelines.errors import ConfigurationError, StorageError
from pipelines.registry import (
    CHAMPION,
    RETRAIN_WANTED,
    MlflowRegistry,
    ModelVersion,
    Registry,
)
from pipelines.settings import Settings
from pipelines.stages import STAGES
from pipelines.storage.artifacts import MANIFEST, RunFolder
from pipelines.storage.unit_of_work import unit_of_work

log = structlog.get_logger()

STORED = "library"
"""The source that reads what PostgreSQL holds of a library."""
FEEDBACK = "feedback"
"""The source that reads what the service was told of a library's readers."""
OURS = frozenset({STORED, FEEDBACK})
"""Sources that read our own database: a library is named there, not located."""
_FIRST = next(iter(STAGES))

MAKES_A_DIFFERENCE = {
    "models",
    "hyperparameters",
    "split",
    "blend",
    "evaluation",
    "tuning",
    "quality",
    "cleaning",
}
"""The settings that change what a run makes."""

Summary = dict[str, Any]
"""What a stage tells the next one and the log: small and JSON-able."""


class RunParams(BaseModel):
    """What distinguishes one run from another; the same parameters and data give the same model."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str = "sample"
    data_path: str | None = Field(None, repr=False)
    """Where the source reads. Its password, if it has one, is neither recorded nor shown."""
    source_options: dict[str, str] = {}
    """What the source is told besides, such as the delimiter of its files."""
    library: str | None = None
    """What the library is called that the data belong to, wherever they lie; see `dataset`."""
    mode: Literal["full", "addition"] = "full"
    """Whether the data are the whole library, or a batch that adds to what is stored of it."""
    seed: int = Field(42, ge=0)

    @property
    def dataset(self) -> str:
        """
        Under what PostgreSQL keeps the run's tables: the library, else the source and its place.

        Libraries that come through the same source from different places never meet, and none is
        taken for a later batch of the other.
        """
        if self.library:
            return self.library
        if self.source in OURS and self.data_path:
            return self.data_path
        return f"{self.source}/{short_name(self.data_path)}" if self.data_path else self.source

    @property
    def options(self) -> dict[str, str]:
        """What the source is told, by whoever started the run and by us."""
        ours = {"library": self.library or self.data_path or ""} if self.source in OURS else {}
        return self.source_options | ours

    @field_validator("library")
    @classmethod
    def _is_a_name(cls, value: str | None) -> str | None:
        return library_name(value) if value else None

    @field_serializer("data_path")
    def _without_password(self, value: str | None) -> str | None:
        return None if value is None else without_password(value)


@dataclass
class StageDraft:
    """A stage's folder while it is being written."""

    folder: Path
    summary: Summary = field(default_factory=dict)


@dataclass(frozen=True)
class RunContext:
    """One run; gives stages their folders, randomness and connections."""

    run_id: str
    params: RunParams
    settings: Settings
    orchestrator_run: str = ""
    """The id under which Airflow knows this run; empty without Airflow."""

    @classmethod
    def opened(
        cls, run_id: str, params: dict[str, Any], settings: Settings, *, orchestrator_run: str
    ) -> Self:
        """
        The context of one task among others of a run.

        Args:
            run_id: The run.
            params: Fields of `RunParams`; without a source, `unattended_params` says which, and
                what the first stage has recorded holds for all later ones.
            settings: Prepared ones.
            orchestrator_run: What Airflow calls the run.
        """
        folder = _run_folder(settings, run_id)
        if params.get("source"):
            chosen = RunParams(**params)
        elif folder.has(_FIRST):
            chosen = RunParams(**folder.manifest(_FIRST)["params"])
        else:
            registry = MlflowRegistry.from_settings(settings)
            chosen = unattended_params(settings, registry, seed=params["seed"])
            _tell_what_is_wanted(registry)
        return cls(run_id, chosen, settings, orchestrator_run)

    @cached_property
    def folder(self) -> RunFolder:
        return self.folder_of(self.run_id)

    def folder_of(self, run_id: str) -> RunFolder:
        """The folder of any run in the same storage."""
        return _run_folder(self.settings, run_id)

    @cached_property
    def registry(self) -> MlflowRegistry:
        return MlflowRegistry.from_settings(self.settings)

    @property
    def data_location(self) -> str | None:
        """Where the source reads, with its password."""
        if self.params.source in OURS:
            return self.database_url
        configured = self.settings.source_database_url
        if self.params.source == "postgresql" and not self.params.data_path and configured:
            return configured.get_secret_value()
        return self.params.data_path

    def unit_of_work(self) -> AbstractContextManager[Session]:
        """One transaction on our database."""
        return unit_of_work(self.database_url)

    @property
    def database_url(self) -> str:
        """Where our tables are, with its password."""
        if self.settings.database_url is None:
            raise ConfigurationError("BOOKREC_DATABASE_URL is not set for this process")
        return self.settings.database_url.get_secret_value()

    @property
    def data_fingerprint(self) -> str:
        """A hash of what models were made from."""
        return fingerprint(self.folder.reading("preprocess"))

    @property
    def feature_versions(self) -> dict[str, str]:
        """By file of the dataset (`users`, `catalogue`, `interactions`, `editions`), its hash."""
        files: dict[str, str] = self.folder.manifest("preprocess")["files"]
        return {Path(name).stem: checksum[:16] for name, checksum in sorted(files.items())}

    def tags(self) -> dict[str, str]:
        """What every MLflow run and model version of this run is tagged with."""
        recorded = self.params.model_dump()
        return {
            "source": self.params.source,
            "data_path": recorded["data_path"] or "",
            "source_options": json.dumps(recorded["source_options"]),
            "library": self.params.dataset,
            "seed": str(self.params.seed),
            "data_fingerprint": self.data_fingerprint,
            "feature_versions": json.dumps(self.feature_versions),
            "git_sha": git_sha(),
            "airflow_run_id": self.orchestrator_run or "none",
        }

    def rng(self, purpose: str) -> np.random.Generator:
        """Randomness that depends on the run's seed and the purpose alone."""
        return np.random.default_rng([self.params.seed, zlib.crc32(purpose.encode())])

    @contextmanager
    def stage(self, address: str, *, inputs: Sequence[str]) -> Iterator[StageDraft]:
        """The folder of a stage: it appears, with its manifest, when the block ends well."""
        started = time.perf_counter()
        manifest: dict[str, Any] = {
            "params": self.params.model_dump(),
            "made_with": self._made_with,
            "inputs": {name: fingerprint(self.folder.reading(name)) for name in inputs},
        }
        with self.folder.writing(address, manifest) as folder:
            draft = StageDraft(folder)
            yield draft
            for name in inputs:  # what was erased meanwhile must not come back
                self.folder.reading(name)
            manifest |= {
                "summary": draft.summary,
                "seconds": round(time.perf_counter() - started, 3),
                "finished_at": datetime.now(UTC).isoformat(),
            }

    def summary(self, address: str) -> Summary:
        """What a finished stage told."""
        told: Summary = self.folder.manifest(address)["summary"]
        return told

    def is_current(self, address: str) -> bool:
        """Whether a stage has finished with these parameters, settings and inputs."""
        try:
            manifest = self.folder.manifest(address)
            found = {name: fingerprint(self.folder.reading(name)) for name in manifest["inputs"]}
        except StorageError:
            return False
        now = {"params": self.params.model_dump(), "made_with": self._made_with, "inputs": found}
        return all(manifest[name] == value for name, value in now.items())

    @property
    def _made_with(self) -> dict[str, Any]:
        found = self.settings.model_dump(mode="json", include=MAKES_A_DIFFERENCE)
        del found["quality"]["schedule"]
        return found


def _run_folder(settings: Settings, run_id: str) -> RunFolder:
    return RunFolder(settings.storage_root, run_id, mirror=settings.home / "mirror")


def _tell_what_is_wanted(registry: Registry) -> None:
    champion = registry.by_alias(CHAMPION)
    if champion is not None and (reason := champion.tags.get(RETRAIN_WANTED)):
        log.warning("retraining_wanted", version=champion.version, reason=reason)


def unattended_params(settings: Settings, registry: Registry, *, seed: int) -> RunParams:
    """
    What a run reads that nobody gave a source: the configured one, else what the champion was made
    from, so that a schedule never replaces a model of your data by one of another; else the sample.
    """
    if settings.source is not None:
        return RunParams(
            source=settings.source,
            data_path=settings.data_path,
            source_options=settings.source_options,
            library=settings.library,
            seed=seed,
        )
    champion = registry.by_alias(CHAMPION)
    if champion is None:
        return RunParams(seed=seed)
    return trained_on(champion).model_copy(update={"seed": seed})


def trained_on(version: ModelVersion) -> RunParams:
    """What a version was made from."""
    tags = version.tags
    read = RunParams(
        source=tags["source"],
        data_path=tags.get("data_path") or None,
        source_options=json.loads(tags.get("source_options", "{}")),
    )
    library = tags.get("library", read.dataset)
    return read if library == read.dataset else read.model_copy(update={"library": library})


def located(source: str, data: str | None) -> str | None:
    """Where a source reads, the same for every later task; a library is named, not located."""
    return data if data is None or source in OURS else absolute(data)


def run_id_of(airflow_run_id: str) -> str:
    """The run id for an Airflow run: the same, with what cannot stand in a folder name replaced."""
    return re.sub(r"[^A-Za-z0-9._-]", "-", airflow_run_id)[:128]


@lru_cache
def git_sha() -> str:
    """The revision of this code: BOOKREC_GIT_SHA, else what git says, else "unknown"."""
    if sha := os.environ.get("BOOKREC_GIT_SHA"):
        return sha
    command = ["git", "rev-parse", "HEAD"]
    try:
        told = subprocess.run(
            command,
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            timeout=5,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return told.stdout.strip()


def fingerprint(stage_folder: Path) -> str:
    """A hash of a stage's files, blind to when they were made."""
    files = json.loads((stage_folder / MANIFEST).read_text())["files"]
    return hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()[:16]
