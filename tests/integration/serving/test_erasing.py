"""Erasure over HTTP, by the service itself, of a model that a pipeline made."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from pydantic import SecretStr
from starlette.testclient import TestClient

from pipelines.champion import load_by_alias
from pipelines.registry import CHAMPION
from pipelines.stages.pipeline import run_pipeline
from pipelines.stages.run_context import RunContext
from serving.bootstrap import compose
from serving.gateway.app import create_app
from tests.pipeline_runs import MakeContext
from tests.serving_parts import ADMIN_TOKEN, admin

pytestmark = pytest.mark.integration

READER = "/api/v1/users/4"
LISTS = f"{READER}/recommendations"


@pytest.fixture
def trained(make_context: MakeContext, redis_url: str) -> RunContext:
    ctx = make_context()
    api = ctx.settings.api.model_copy(update={"admin_token": SecretStr(ADMIN_TOKEN)})
    update = {"redis_url": SecretStr(redis_url), "api": api}
    ctx = replace(ctx, settings=ctx.settings.model_copy(update=update))
    run_pipeline(ctx, lambda *_: None)
    return ctx


@pytest.fixture
def http(trained: RunContext) -> Iterator[TestClient]:
    components = compose(trained.settings)
    app = create_app(lambda: components)
    options = {"base_url": "http://localhost", "client": ("127.0.0.1", 50_000)}
    with TestClient(app, **options) as http:
        components.slot.refresh()
        yield http


def test_a_reader_is_erased_everywhere_and_does_not_come_back(
    http: TestClient, trained: RunContext
):
    told = {"events": [{"user_id": 4, "book_id": 6, "kind": "read"}]}
    assert http.post("/api/v1/feedback", json=told).status_code == 202
    assert http.get(LISTS).json()["source"] in {"model", "cache"}
    assert http.get(READER).json()["ratings"] == 12

    answer = http.delete(READER, headers=admin())
    while answer.status_code == 202 and not answer.json()["problems"]:
        answer = http.delete(READER, headers=admin())
    assert answer.status_code == 200, answer.text
    bundle, _ = load_by_alias(trained.registry, CHAMPION, trained.settings.home / "models")
    assert bundle.users.parse("4") is None
    assert http.post("/api/v1/feedback", json=told).status_code == 422
    http.app.state.components.slot.refresh()
    assert http.get(READER).status_code == 404
    assert http.get(LISTS).json()["source"] == "fallback"


def test_of_a_stranger_there_is_nothing_to_erase(http: TestClient):
    stranger = "/api/v1/users/stranger"
    assert http.delete(stranger, headers=admin()).status_code == 404
    assert http.delete(stranger).status_code == 401  # on this machine all may ask, not erase
