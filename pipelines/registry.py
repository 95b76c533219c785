"""
The model registry: MLflow behind one class, the only importer of mlflow.

Runs are flat, one a model, and carry the tag `pipeline_run`; recording or registering twice for the
same pipeline run replaces or reuses, so a repeated stage changes nothing.
"""

import contextlib
import glob
import hashlib
import json
import os
import re
import shutil
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Protocol, Self
from urllib.parse import unquote, urlparse
from uuid import uuid4

from pipelines.errors import ConfigurationError, RegistryError
from pipelines.settings import Settings

if TYPE_CHECKING:
    from mlflow.entities import DatasetInput, Run
    from mlflow.entities.model_registry import ModelVersion as MlflowVersion
    from mlflow.tracking import MlflowClient

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


class MlflowRegistry:
    """
    The registry in MLflow 3.

    Args:
        tracking_uri: A PostgreSQL address or an MLflow server's.
        artifact_root: Where a new experiment keeps its artifacts; a server decides for itself.
    """

    def __init__(
        self, tracking_uri: str, artifact_root: Path, *, experiment: str, model: str
    ) -> None:
        _quieten()
        self._uri = tracking_uri
        self._artifact_root = artifact_root
        self._experiment = experiment
        self._model = model

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """
        The registry that settings name.

        Raises:
            ConfigurationError: they name none.
        """
        if settings.mlflow_tracking_uri is None:
            raise ConfigurationError("BOOKREC_MLFLOW_TRACKING_URI is not set for this process")
        return cls(
            settings.mlflow_tracking_uri.get_secret_value(),
            settings.artifact_root,
            experiment=settings.experiment,
            model=settings.registered_model,
        )

    @cached_property
    def _client(self) -> "MlflowClient":
        from mlflow.tracking import MlflowClient

        if not self._uri.startswith("http"):
            _knock(self._uri)
        return MlflowClient(tracking_uri=self._uri, registry_uri=self._uri)

    def prepare(self) -> str:
        """
        Make the database, the experiment and the registered model; gives the experiment's id.

        To be called from one process before any other: MLflow's first set-up is not safe to race.
        """
        with _translated():
            return self._experiment_id

    @cached_property
    def _experiment_id(self) -> str:
        known = self._client.get_experiment_by_name(self._experiment)
        experiment_id = known.experiment_id if known else self._create_experiment(self._experiment)
        if not self._client.search_registered_models(f"name = '{self._model}'"):
            self._client.create_registered_model(self._model)
        return str(experiment_id)

    def _create_experiment(self, name: str) -> str:
        if self._uri.startswith("http"):
            return str(self._client.create_experiment(name))
        self._artifact_root.mkdir(parents=True, exist_ok=True)
        location = self._artifact_root.as_uri()
        return str(self._client.create_experiment(name, location))

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
        with _translated():
            run = self._find_run(name, pipeline_run)
            if run is not None and _contradicts(run, params):
                self._client.delete_run(run.info.run_id)  # MLflow never changes a parameter
                run = None
            run = run or self._create_run(name, pipeline_run, tags.get("git_sha", ""))
            run_id = str(run.info.run_id)
            for key in params.keys() - run.data.params.keys():
                self._client.log_param(run_id, key, params[key])
            for key, number in metrics.items():
                self._client.log_metric(run_id, key, number)
            for key, value in tags.items():
                self._client.set_tag(run_id, key, value)
            if data is not None:
                self._client.log_inputs(run_id, [_dataset_input(data)])
            self._client.set_terminated(run_id)
            return run_id

    def attach(self, run_id: str, folder: Path, under: str | None = None) -> None:
        """
        Keep all files of a folder as artifacts of a run; those of the same name are replaced.

        Args:
            run_id: MLflow's name of it.
            folder: What to keep.
            under: A folder among the run's artifacts, if they are not to lie at the top.
        """
        with _translated():
            self._client.log_artifacts(run_id, str(folder), under)

    def record_trials(
        self, name: str, study: str, trials: Sequence[Trial], tags: Mapping[str, str]
    ) -> None:
        """
        A run for each trial that has none yet, tagged `study` and `trial`.

        They have an experiment of their own, `<experiment>-tuning`, beside the models to compare.
        """
        with _translated():
            experiment_id = self._tuning_experiment_id()
            recorded = self._recorded_trials(experiment_id, study)
            for trial in trials:
                if trial.number not in recorded:
                    own = {"model": name, "study": study, "trial": str(trial.number)}
                    self._create_trial(experiment_id, trial, {**tags, **own, "state": trial.state})

    def _tuning_experiment_id(self) -> str:
        from mlflow.exceptions import MlflowException

        name = f"{self._experiment}-tuning"
        known = self._client.get_experiment_by_name(name)
        if known is None:
            try:
                return self._create_experiment(name)
            except MlflowException:  # models are trained at the same time: another was first
                known = self._client.get_experiment_by_name(name)
                if known is None:
                    raise
        return str(known.experiment_id)

    def _recorded_trials(self, experiment_id: str, study: str) -> set[int]:
        """Those recorded whole; what a killed process left half-recorded is deleted."""
        recorded = set()
        for run in self._client.search_runs([experiment_id], f"tags.study = '{study}'"):
            if run.info.status == "RUNNING":
                self._client.delete_run(run.info.run_id)
            else:
                recorded.add(int(run.data.tags["trial"]))
        return recorded

    def _create_trial(self, experiment_id: str, trial: Trial, tags: Mapping[str, str]) -> None:
        """In three calls: the time of a study must not go into writing it down."""
        from mlflow.entities import Metric, Param

        started, ended = (
            int(at.timestamp() * 1000)
            for at in (trial.started_at, trial.started_at + timedelta(seconds=trial.seconds))
        )
        name = f"{tags['model']} trial {trial.number}"
        run = self._client.create_run(experiment_id, started, dict(tags), name)
        run_id = str(run.info.run_id)
        measured = {**trial.metrics, "seconds": trial.seconds}
        self._client.log_batch(
            run_id,
            metrics=[Metric(key, value, ended, 0) for key, value in measured.items()],
            params=[Param(key, str(value)) for key, value in trial.params.items()],
        )
        status = "FAILED" if trial.state == "fail" else "FINISHED"
        self._client.set_terminated(run_id, status, ended)

    def _create_run(self, name: str, pipeline_run: str, git_sha: str) -> "Run":
        return self._client.create_run(
            self._experiment_id,
            run_name=f"{name} {datetime.now(UTC):%Y-%m-%d %H:%M} {git_sha[:7]}".rstrip(),
            tags={PIPELINE_RUN: pipeline_run, "model": name},
        )

    def _find_run(self, name: str, pipeline_run: str) -> "Run | None":
        found = self._client.search_runs(
            [self._experiment_id],
            f"tags.{PIPELINE_RUN} = '{pipeline_run}' and tags.model = '{name}'",
            max_results=1,
        )
        return found[0] if found else None

    def register(
        self, name: str, pipeline_run: str, bundle: Path, tags: Mapping[str, str]
    ) -> ModelVersion:
        with _translated():
            tags = {PIPELINE_RUN: pipeline_run, CONTENT: content_of(bundle), **tags}
            same = (PIPELINE_RUN, CONTENT)
            for known in self.versions():
                if all(known.tags.get(tag) == tags[tag] for tag in same):
                    return known
            run = self._find_run(name, pipeline_run)
            if run is None:
                raise RegistryError(f"no run of {name} is recorded for {pipeline_run}")
            uri = self._log_model(str(run.info.run_id), bundle)
            created = self._client.create_model_version(
                self._model,
                uri,
                run_id=str(run.info.run_id),
                tags=dict(tags),
                model_id=uri.removeprefix("models:/"),  # a server refuses to work it out itself
            )
            return _version(created)

    def _log_model(self, run_id: str, bundle: Path) -> str:
        import mlflow
        from mlflow.models import ModelSignature
        from mlflow.types import ParamSchema, ParamSpec

        mlflow.set_tracking_uri(self._uri)
        mlflow.set_registry_uri(self._uri)
        with mlflow.start_run(run_id=run_id), warnings.catch_warnings():
            # An example of input would name a reader; the signature tells only what `n` is.
            warnings.filterwarnings("ignore", ".*input example was not provided")
            logged = mlflow.pyfunc.log_model(
                name="model",
                # Code by reference and arrays as files: nothing is pickled, and any MLflow user
                # can load it with mlflow.pyfunc.load_model where this package is installed.
                loader_module="pipelines.models.pyfunc",
                data_path=str(bundle),
                # Nothing is installed by name: this package is what loads the model.
                pip_requirements=[],
                signature=ModelSignature(
                    inputs=None, outputs=None, params=ParamSchema([ParamSpec("n", "integer", 10)])
                ),
            )
        return str(logged.model_uri)

    def set_alias(self, alias: str, version: int) -> None:
        with _translated():
            self._client.set_registered_model_alias(self._model, alias, str(version))

    def by_alias(self, alias: str) -> ModelVersion | None:
        with _translated():
            found = self._client.search_registered_models(f"name = '{self._model}'")
            if not found or alias not in found[0].aliases:
                return None
            return _version(self._client.get_model_version_by_alias(self._model, alias))

    def versions(self) -> list[ModelVersion]:
        with _translated():
            models = self._client.search_registered_models(f"name = '{self._model}'")
            if not models:
                return []
            aliases: dict[str, list[str]] = {}
            for alias, version in models[0].aliases.items():
                aliases.setdefault(str(version), []).append(alias)
            found = self._client.search_model_versions(f"name = '{self._model}'")
            listed = [_version(v, tuple(sorted(aliases.get(str(v.version), [])))) for v in found]
            return sorted(listed, key=lambda v: -v.version)

    def tag(self, version: int, name: str, value: str) -> None:
        """Set a tag of a version."""
        with _translated():
            self._client.set_model_version_tag(self._model, str(version), name, value)

    def describe(self, version: int, text: str) -> None:
        """Say what a version is, in Markdown; replaces what was said."""
        with _translated():
            self._client.update_model_version(self._model, str(version), text)

    def size(self, version: int) -> int:
        """Bytes of a version's bundle; 0 where a server keeps it."""
        with _translated():
            local = _local_path(self._location(version))
        found = local.rglob("*") if local is not None else ()
        return sum(path.stat().st_size for path in found if path.is_file())

    def delete(self, version: int) -> None:
        """
        Remove a version with its bundle; numbers, pictures and parameters of its run stay.

        Files go first: whoever is killed in between finds the version still there to be removed.
        """
        with _translated():
            uri = self._location(version)
            model_id = self._client.get_model_version(self._model, str(version)).model_id
            self._delete_files(uri)
            self._client.delete_model_version(self._model, str(version))
            if model_id:
                self._client.delete_logged_model(model_id)

    def _delete_files(self, uri: str) -> None:
        import mlflow
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        local = _local_path(uri)
        if local is not None:
            shutil.rmtree(local, ignore_errors=True)
            return
        mlflow.set_tracking_uri(self._uri)
        get_artifact_repository(uri).delete_artifacts()  # type: ignore[no-untyped-call]

    def rewrite(self, version: int, write: Callable[[Path, Path], bool]) -> bool:
        """
        Put another bundle in the place of a version's, and tag the version with its content.

        In a folder the old bundle or the new one is there, never a mix. Artifacts behind a server
        are replaced file by file: whoever fetches them meanwhile finds that checksums do not fit.

        Args:
            version: Its number.
            write: Reads the bundle at the first path and writes another to the second, which does
                not exist; or returns False where nothing is to be changed.
        """
        with _translated(), TemporaryDirectory() as scratch:
            uri = self._location(version)
            local = _local_path(uri)
            if local is not None:
                bundle = settled(local / "data" / "bundle")
                changed = exchange(bundle, write)
            else:
                bundle = _bundle_in(self._download(uri, Path(scratch) / "model"))
                if changed := exchange(bundle, write):
                    self._upload(uri, bundle)
            # Also where nothing was changed: whoever changed it may have been killed before this.
            self._client.set_model_version_tag(
                self._model, str(version), CONTENT, content_of(bundle)
            )
            return changed

    def _upload(self, uri: str, bundle: Path) -> None:
        import mlflow
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        mlflow.set_tracking_uri(self._uri)
        repository = get_artifact_repository(uri)
        repository.log_artifacts(str(bundle), f"data/{bundle.name}")  # type: ignore[no-untyped-call]

    def _location(self, version: int) -> str:
        uri = str(self._client.get_model_version_download_uri(self._model, str(version)))
        if not uri.startswith("models:/"):
            return uri
        return str(self._client.get_logged_model(uri.removeprefix("models:/")).artifact_location)

    def metrics(self, run_id: str) -> dict[str, float]:
        """The last value of every metric of a run."""
        with _translated():
            return dict(self._client.get_run(run_id).data.metrics)

    def fetch(self, version: int, target: Path) -> Path:
        with _translated():
            uri = self._location(version)
            local = _local_path(uri)
            if local is not None:
                return _bundle_in(local)
            # By id, not by number: a rebuilt registry counts from 1 again. And by content, which
            # changes when a reader is erased; what was fetched before that goes.
            content = self._client.get_model_version(self._model, str(version)).tags[CONTENT]
            name = f"{self._model}-{version}-"
            final = target / f"{name}{_last_segment(uri)}-{content[:12]}"
            for stale in set(target.glob(f"{glob.escape(name)}*")) - {final}:
                shutil.rmtree(stale, ignore_errors=True)
            return _bundle_in(final if final.is_dir() else self._download(uri, final))

    def _download(self, uri: str, final: Path) -> Path:
        from mlflow.artifacts import download_artifacts

        draft = final.parent / f".{final.name}.{uuid4().hex}"
        draft.mkdir(parents=True)
        try:
            fetched = Path(
                download_artifacts(artifact_uri=uri, dst_path=str(draft), tracking_uri=self._uri)
            )
            with contextlib.suppress(OSError):  # another worker was first: its copy serves as well
                fetched.rename(final)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
        return final


def _knock(database_url: str) -> None:
    """Fail at once where the database does not answer; MLflow would try for minutes."""
    import sqlalchemy

    engine = sqlalchemy.create_engine(database_url, connect_args={"connect_timeout": 5})
    try:
        engine.connect().close()
    finally:
        engine.dispose()


def _dataset_input(data: DataUsed) -> "DatasetInput":
    from mlflow.entities import Dataset, DatasetInput, InputTag
    from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT

    dataset = Dataset(
        data.name,
        data.digest,
        source_type=data.source,
        source=json.dumps({"location": data.location}),
        profile=json.dumps(dict(data.counts)),
    )
    return DatasetInput(dataset, [InputTag(MLFLOW_DATASET_CONTEXT, "training")])


def _contradicts(run: "Run", params: Mapping[str, Any]) -> bool:
    recorded = run.data.params
    return any(key in recorded and recorded[key] != str(value) for key, value in params.items())


def content_of(bundle: Path) -> str:
    """What tells one bundle from another: its manifest holds the checksums of all its files."""
    return hashlib.sha256((bundle / "manifest.json").read_bytes()).hexdigest()


def exchange(bundle: Path, write: Callable[[Path, Path], bool]) -> bool:
    """
    Put what `write` makes of a bundle in its place; False where it makes nothing.

    For a moment between two renames only `bundle.new`, which is whole, and `bundle.old` are there:
    `_bundle_in` finds the new one then, and `settled` puts it right after a kill.
    """
    new, old = (bundle.with_name(f"{bundle.name}.{age}") for age in ("new", "old"))
    if not write(bundle, new):
        return False
    bundle.rename(old)
    new.rename(bundle)
    shutil.rmtree(old)
    return True


def settled(bundle: Path) -> Path:
    """The bundle's folder, without what a killed `exchange` left beside it."""
    new = bundle.with_name(f"{bundle.name}.new")
    if not bundle.exists() and new.exists():
        new.rename(bundle)
    for left in set(bundle.parent.glob("*")) - {bundle}:
        shutil.rmtree(left, ignore_errors=True)
    return bundle


def _bundle_in(model_folder: Path) -> Path:
    for manifest in sorted(model_folder.glob("data/*/manifest.json")):
        return manifest.parent
    raise RegistryError(
        f"no model bundle in {model_folder}: was it deleted from the artifact root?"
    )


def _last_segment(uri: str) -> str:
    """What tells one logged model's artifacts from another's: `.../m-<id>/artifacts`."""
    return hashlib.sha256(uri.encode()).hexdigest()[:12]


def _local_path(uri: str) -> Path | None:
    parsed = urlparse(uri)
    if parsed.scheme == "file":
        return Path(unquote(parsed.path))
    return Path(uri) if not parsed.scheme else None


def _version(found: "MlflowVersion", aliases: tuple[str, ...] | None = None) -> ModelVersion:
    return ModelVersion(
        version=int(found.version),
        run_id=str(found.run_id),
        created_at=datetime.fromtimestamp(found.creation_timestamp / 1000, UTC),
        aliases=tuple(sorted(found.aliases)) if aliases is None else aliases,
        tags=dict(found.tags),
    )


@contextmanager
def _translated() -> Iterator[None]:
    """MLflow's errors as ours: their first line, without the password of an address in it."""
    import sqlalchemy.exc
    from mlflow.exceptions import MlflowException

    try:
        yield
    except (MlflowException, sqlalchemy.exc.SQLAlchemyError, OSError) as error:
        first_line = next(iter(str(error).splitlines()), "")
        masked = re.sub(r"//[^/\s]*@", "//***@", first_line)
        raise RegistryError(f"MLflow: {masked[:300]}") from error


def _quieten() -> None:
    """No telemetry, no progress bars, no advice about pip in our users' terminals."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("DO_NOT_TRACK", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "ERROR")
    os.environ.setdefault("MLFLOW_UV_AUTO_DETECT", "false")
    # MLflow's own retries would hold a caller for minutes when its server is down.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
