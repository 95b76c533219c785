"""The registry in MLflow 3: versions with their bundles, and the aliases that point at them."""

import contextlib
import glob
import shutil
import warnings
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING
from uuid import uuid4

from pipelines.errors import RegistryError
from pipelines.registry.bundle_folders import (
    bundle_in,
    content_of,
    exchange,
    local_path,
    name_of,
    settled,
)
from pipelines.registry.connection import translated
from pipelines.registry.entries import CONTENT, PIPELINE_RUN, ModelVersion
from pipelines.registry.runs import MlflowRuns

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion as MlflowVersion


class MlflowRegistry(MlflowRuns):
    """A bundle of a pipeline run is registered once, so a repeated stage changes nothing."""

    def register(
        self, name: str, pipeline_run: str, bundle: Path, tags: Mapping[str, str]
    ) -> ModelVersion:
        with translated():
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
        with translated():
            self._client.set_registered_model_alias(self._model, alias, str(version))

    def by_alias(self, alias: str) -> ModelVersion | None:
        with translated():
            found = self._client.search_registered_models(f"name = '{self._model}'")
            if not found or alias not in found[0].aliases:
                return None
            return _version(self._client.get_model_version_by_alias(self._model, alias))

    def versions(self) -> list[ModelVersion]:
        with translated():
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
        with translated():
            self._client.set_model_version_tag(self._model, str(version), name, value)

    def describe(self, version: int, text: str) -> None:
        """Say what a version is, in Markdown; replaces what was said."""
        with translated():
            self._client.update_model_version(self._model, str(version), text)

    def size(self, version: int) -> int:
        """Bytes of a version's bundle; 0 where a server keeps it."""
        with translated():
            local = local_path(self._location(version))
        found = local.rglob("*") if local is not None else ()
        return sum(path.stat().st_size for path in found if path.is_file())

    def delete(self, version: int) -> None:
        """
        Remove a version with its bundle; numbers, pictures and parameters of its run stay.

        Files go first: whoever is killed in between finds the version still there to be removed.
        """
        with translated():
            uri = self._location(version)
            model_id = self._client.get_model_version(self._model, str(version)).model_id
            self._delete_files(uri)
            self._client.delete_model_version(self._model, str(version))
            if model_id:
                self._client.delete_logged_model(model_id)

    def _delete_files(self, uri: str) -> None:
        import mlflow
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        local = local_path(uri)
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
        with translated(), TemporaryDirectory() as scratch:
            uri = self._location(version)
            local = local_path(uri)
            if local is not None:
                bundle = settled(local / "data" / "bundle")
                changed = exchange(bundle, write)
            else:
                bundle = bundle_in(self._download(uri, Path(scratch) / "model"))
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

    def fetch(self, version: int, target: Path) -> Path:
        with translated():
            uri = self._location(version)
            local = local_path(uri)
            if local is not None:
                return bundle_in(local)
            # By id, not by number: a rebuilt registry counts from 1 again. And by content, which
            # changes when a reader is erased; what was fetched before that goes.
            content = self._client.get_model_version(self._model, str(version)).tags[CONTENT]
            name = f"{self._model}-{version}-"
            final = target / f"{name}{name_of(uri)}-{content[:12]}"
            for stale in set(target.glob(f"{glob.escape(name)}*")) - {final}:
                shutil.rmtree(stale, ignore_errors=True)
            return bundle_in(final if final.is_dir() else self._download(uri, final))

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


def _version(found: "MlflowVersion", aliases: tuple[str, ...] | None = None) -> ModelVersion:
    return ModelVersion(
        version=int(found.version),
        run_id=str(found.run_id),
        created_at=datetime.fromtimestamp(found.creation_timestamp / 1000, UTC),
        aliases=tuple(sorted(found.aliases)) if aliases is None else aliases,
        tags=dict(found.tags),
    )
