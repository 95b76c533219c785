"""A registry behind an MLflow server: bundles are fetched, rewritten and put back."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from pipelines.erasure.bundles import erase_from, holds
from pipelines.models.bundle import ModelBundle
from pipelines.processes import running
from pipelines.registry import CONTENT, RETRAIN_WANTED, MlflowRegistry, content_of
from pipelines.settings import Settings
from pipelines.stack import free_port, mlflow_programs
from tests.factories import bundle

pytestmark = pytest.mark.integration


@pytest.fixture
def remote(run_settings: Settings, tmp_path: Path) -> Iterator[MlflowRegistry]:
    stack = run_settings.stack.model_copy(update={"mlflow_port": free_port()})
    served = run_settings.model_copy(update={"stack": stack})
    (program,) = mlflow_programs(served)
    with running(program, log_folder=tmp_path / "logs") as wait_until_ready:
        wait_until_ready()
        url = SecretStr(f"http://127.0.0.1:{stack.mlflow_port}")
        registry = MlflowRegistry.from_settings(
            served.model_copy(update={"mlflow_tracking_uri": url})
        )
        registry.prepare()
        yield registry


def test_a_bundle_behind_a_server_is_replaced_and_copies_of_the_old_one_go(
    remote: MlflowRegistry, run_settings: Settings, tmp_path: Path
):
    whole, cache = bundle(), tmp_path / "models"
    whole.save(tmp_path / "bundle")
    remote.record_run("hybrid", "run-1", params={}, metrics={}, tags={})
    made = remote.register("hybrid", "run-1", tmp_path / "bundle", {"source": "sample"})
    assert holds(remote, made, "ann", cache)
    assert erase_from(remote, made, "ann", "2026-11-25")

    (version,) = remote.versions()
    folder = remote.fetch(1, cache)
    assert len(list(cache.iterdir())) == 1
    assert version.tags[CONTENT] == content_of(folder) != made.tags[CONTENT]
    assert version.tags[RETRAIN_WANTED] == "erasure 2026-11-25"
    fetched = ModelBundle.load(folder)
    assert list(fetched.users) == ["bob", "cid", "dee", "eve"]
    assert fetched.recommend("bob", 5) == whole.recommend("bob", 5)
    kept = [p.read_bytes() for p in run_settings.artifact_root.rglob("*") if p.is_file()]
    assert not any(b"annbobcid" in content for content in kept)
    assert not erase_from(remote, version, "ann", "2026-11-25")
