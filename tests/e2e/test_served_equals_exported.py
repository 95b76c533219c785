"""The same lists over HTTP, from the cache and in the export, for every reader."""

from dataclasses import replace
from pathlib import Path

import httpx
import pandas as pd
import pytest

from pipelines.champion import export_recommendations, load_by_alias
from pipelines.processes import running
from pipelines.registry import MlflowRegistry
from pipelines.settings import Settings
from pipelines.stack import api_program, free_port
from pipelines.stages.pipeline import execute, run_pipeline
from pipelines.stages.run_context import RunContext
from tests.pipeline_runs import N_READERS, MakeContext, small_ratings

pytestmark = pytest.mark.e2e


@pytest.fixture
def served(make_context: MakeContext, redis_url: str) -> RunContext:
    """A finished run whose settings name a port and a Redis for the service."""
    ctx = make_context()
    run_pipeline(ctx, lambda *_: None)
    api = ctx.settings.api.model_copy(update={"port": free_port()})
    update = {"api": api, "redis_url": type(ctx.settings.api.admin_token)(redis_url)}
    return RunContext(ctx.run_id, ctx.params, ctx.settings.model_copy(update=update))


def exported(settings: Settings, folder: Path) -> pd.DataFrame:
    registry = MlflowRegistry.from_settings(settings)
    bundle, _ = load_by_alias(registry, "champion", settings.home / "models")
    output = folder / "recommendations.parquet"
    export_recommendations(bundle, 10, output, on_progress=lambda _: None)
    return pd.read_parquet(output)


def ask(client: httpx.Client, user_id: int) -> dict:
    answer = client.get(f"/api/v1/users/{user_id}/recommendations", params={"n": 10})
    return answer.raise_for_status().json()


def assert_equal(answer: dict, listed: pd.DataFrame) -> None:
    assert [i["book_id"] for i in answer["items"]] == listed["book_id"].tolist()
    assert [i["rank"] for i in answer["items"]] == listed["rank"].tolist()
    assert [i["score"] for i in answer["items"]] == listed["score"].astype(float).tolist()


def test_what_is_served_is_what_is_exported(served: RunContext, tmp_path: Path):
    export = exported(served.settings, tmp_path)
    lists = dict(iter(export.groupby("user_id")))
    assert len(lists) == N_READERS
    met = small_ratings()[["user_id", "book_id"]]
    assert export.merge(met, on=["user_id", "book_id"]).empty
    url = served.settings.api.url
    program = replace(api_program(served.settings), health=f"{url}/readyz")
    with running(program, log_folder=tmp_path) as wait_until_ready:
        wait_until_ready()
        with httpx.Client(base_url=url, timeout=30) as client:
            first = ask(client, 4)
            assert first["source"] == "model"
            assert_equal(first, lists[4])
            told = execute("warm_cache", served)
            assert told["warmed"] == N_READERS
            for user_id, listed in lists.items():
                answer = ask(client, user_id)
                assert (answer["source"], answer["model_version"]) == ("cache", 1)
                assert_equal(answer, listed)
            assert client.get("/api/v1/users/nobody/recommendations").json()["source"] == "fallback"
