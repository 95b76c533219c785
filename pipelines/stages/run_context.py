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
from typing import Any, Self

import numpy as np
import structlog
from sqlalchemy.orm import Session

from pipelines.errors import StorageError
from pipelines.registry import CHAMPION, RETRAIN_WANTED, DataUsed, MlflowRegistry, Registry
from pipelines.run_params import OURS, RunParams, unattended_params
from pipelines.settings import Settings
from pipelines.stages import STAGES
from pipelines.storage.artifacts import RunFolder
from pipelines.storage.stored_folder import MANIFEST
from pipelines.storage.unit_of_work import unit_of_work

log = structlog.get_logger()

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
        return self.settings.known_database_url

    @property
    def data_fingerprint(self) -> str:
        """A hash of what models were made from."""
        return fingerprint(self.folder.reading("preprocess"))

    @property
    def feature_versions(self) -> dict[str, str]:
        """By file of the dataset (`users`, `catalogue`, `interactions`, `editions`), its hash."""
        files: dict[str, str] = self.folder.manifest("preprocess")["files"]
        return {Path(name).stem: checksum[:16] for name, checksum in sorted(files.items())}

    @property
    def data_used(self) -> DataUsed:
        """The prepared data, as MLflow is told of them."""
        told = self.summary("preprocess")
        return DataUsed(
            name=self.params.dataset,
            digest=self.data_fingerprint,
            source=self.params.source,
            location=self.params.model_dump()["data_path"] or "",
            counts={name: n for name, n in told.items() if isinstance(n, int)},
        )

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
