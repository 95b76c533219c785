import json
import re
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow import MlflowClient

from pipelines.errors import RegistryError
from pipelines.pipeline_settings import StackSettings
from pipelines.processes import running
from pipelines.registry import DataUsed, MlflowRegistry, Registry
from pipelines.settings import Settings
from pipelines.stack import mlflow_programs
from tests.contract.registry import RegistryContract, bundle
from tests.fakes import FakeRegistry
from tests.servers import free_port


class TestFakeRegistry(RegistryContract):
    @pytest.fixture
    def registry(self) -> Registry:
        return FakeRegistry()


@pytest.mark.integration
class TestMlflowRegistry(RegistryContract):
    @pytest.fixture
    def registry(self, mlflow_url: str, tmp_path: Path) -> MlflowRegistry:
        name = secrets.token_hex(4)
        registry = MlflowRegistry(
            mlflow_url, tmp_path / "mlruns", experiment=f"e-{name}", model=f"m-{name}"
        )
        registry.prepare()
        return registry

    def test_a_run_recorded_again_with_other_parameters_is_replaced(self, registry):
        """MLflow never changes a parameter, and a repeated stage must not fail for it."""
        one = registry.record_run("knn", "r", params={"k": 1}, metrics={"ndcg": 0.1}, tags={})
        same = registry.record_run("knn", "r", params={"k": 1}, metrics={"ndcg": 0.2}, tags={})
        other = registry.record_run("knn", "r", params={"k": 2}, metrics={"ndcg": 0.3}, tags={})
        assert one == same != other
        assert registry.metrics(other) == {"ndcg": 0.3}

    def test_a_run_names_its_revision_and_its_data_once(self, registry, mlflow_url):
        data = DataUsed("shop", "f1" * 8, "interactions", "/data/shop", {"readers": 3})
        tags = {"git_sha": "0123456789abcdef"}
        for _ in range(2):
            run_id = registry.record_run("knn", "r", params={}, metrics={}, tags=tags, data=data)
        run = MlflowClient(mlflow_url).get_run(run_id)
        assert re.fullmatch(r"knn \d{4}-\d\d-\d\d \d\d:\d\d 0123456", run.info.run_name)
        (used,) = run.inputs.dataset_inputs
        assert (used.dataset.name, used.dataset.digest) == ("shop", "f1" * 8)
        assert json.loads(used.dataset.source) == {"location": "/data/shop"}
        assert json.loads(used.dataset.profile) == {"readers": 3}

    def test_a_bundle_deleted_from_the_artifact_root_is_an_error(self, registry, tmp_path):
        """It names the folder where something was expected."""
        self.put(registry, tmp_path)
        (manifest,) = (tmp_path / "mlruns").rglob("bundle/manifest.json")
        manifest.unlink()
        with pytest.raises(RegistryError, match="no model bundle in"):
            registry.fetch(1, tmp_path / "cache")


@pytest.fixture(scope="module")
def mlflow_server(mlflow_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of MLflow's server as `bookrec up` starts it."""
    folder = tmp_path_factory.mktemp("mlflow-server")
    stack = StackSettings(mlflow_port=free_port())
    settings = Settings(home=folder, mlflow_tracking_uri=mlflow_url, stack=stack)
    (program,) = mlflow_programs(settings)
    with running(program, log_folder=folder / "logs") as wait_until_ready:
        wait_until_ready()
        yield f"http://127.0.0.1:{stack.mlflow_port}"


@pytest.mark.integration
class TestMlflowServerRegistry(RegistryContract):
    @pytest.fixture
    def registry(self, mlflow_server: str, tmp_path: Path) -> MlflowRegistry:
        name = secrets.token_hex(4)
        registry = MlflowRegistry(
            mlflow_server, tmp_path, experiment=f"e-{name}", model=f"m-{name}"
        )
        registry.prepare()
        return registry


@pytest.mark.parametrize(
    "uri", ["postgresql+psycopg2://u:geheim@127.0.0.1:1/x", "http://u:geheim@127.0.0.1:1"]
)
def test_a_registry_out_of_reach_is_an_error_without_the_password(tmp_path, uri):
    registry = MlflowRegistry(uri, tmp_path, experiment="e", model="m")
    with pytest.raises(RegistryError, match="MLflow: ") as error:
        registry.register("hybrid", "run-1", bundle(tmp_path, "a"), {})
    assert "geheim" not in str(error.value)
