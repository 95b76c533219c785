"""Runs in MLflow: one a model and pipeline run, and one a trial of its hyperparameters."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.registry.connection import MlflowConnection, translated
from pipelines.registry.entries import PIPELINE_RUN, DataUsed, Trial

if TYPE_CHECKING:
    from mlflow.entities import DatasetInput, Run


class MlflowRuns(MlflowConnection):
    """
    Runs are flat and carry the tag `pipeline_run`.

    What is recorded again for the same one adds to it or replaces it.
    """

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
        with translated():
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
        with translated():
            self._client.log_artifacts(run_id, str(folder), under)

    def record_trials(
        self, name: str, study: str, trials: Sequence[Trial], tags: Mapping[str, str]
    ) -> None:
        """
        A run for each trial that has none yet, tagged `study` and `trial`.

        They have an experiment of their own, `<experiment>-tuning`, beside the models to compare.
        """
        with translated():
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

    def metrics(self, run_id: str) -> dict[str, float]:
        """The last value of every metric of a run."""
        with translated():
            return dict(self._client.get_run(run_id).data.metrics)


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
