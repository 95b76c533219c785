"""Whatever the contract allows, and much that it does not, over real servers."""

import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import schemathesis
import uvicorn
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from hypothesis.strategies import SearchStrategy
from pydantic import SecretStr
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from pipelines.registry import CHAMPION, MlflowRegistry
from pipelines.storage.database import migrate
from serving.bootstrap import assemble
from serving.gateway.app import create_app
from serving.model.slot import ModelSlot
from tests import factories
from tests.servers import free_port
from tests.serving_parts import admin, redis_caches
from tests.serving_parts import settings as service_settings

pytestmark = [pytest.mark.integration, pytest.mark.once]

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]


@pytest.fixture
def address(
    registry: MlflowRegistry, postgres_url: str, redis_url: str, tmp_path: Path
) -> Iterator[str]:
    """Of a service with a champion from MLflow, accounts in PostgreSQL, and Redis."""
    migrate(postgres_url)
    factories.bundle().save(tmp_path / "bundle")
    registry.record_run("hybrid", "fuzz", params={}, metrics={}, tags={})
    version = registry.register("hybrid", "fuzz", tmp_path / "bundle", {})
    registry.set_alias(CHAMPION, version.version)
    slot = ModelSlot(registry, tmp_path / "models")
    slot.refresh()
    rates = dict.fromkeys(("local", "login"), "1000000/minute")
    chosen = service_settings(
        database_url=SecretStr(postgres_url),
        redis_url=SecretStr(redis_url),
        security={"rate_limits": rates},
    )
    components = assemble(chosen, slot, *redis_caches(redis_url))
    port = free_port()
    config = uvicorn.Config(create_app(lambda: components), port=port, log_level="warning")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(10)
    assert not thread.is_alive()


@pytest.mark.parametrize("headers", [{}, admin()], ids=["somebody", "admin"])
def test_no_question_breaks_the_service_or_the_contract(address: str, headers: dict[str, str]):
    contract = schemathesis.openapi.from_url(f"{address}/openapi.json")
    operations = [found.ok() for found in contract.get_all_operations()]
    assert len(operations) > 14
    for operation in operations:
        for mode in GenerationMode:
            _ask(operation.as_strategy(generation_mode=mode), headers)


def _ask(cases: SearchStrategy[Any], headers: dict[str, str]) -> None:
    @given(cases)
    @settings(
        max_examples=20,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    def ask(case: Any) -> None:
        answer = case.call(headers=headers)
        if "x-request-id" in answer.headers:
            case.validate_response(answer, checks=CHECKS)
        else:  # an address longer than uvicorn reads: no application has seen it
            assert (answer.status_code, answer.content) == (400, b"Invalid HTTP request received.")

    with suppress(Unsatisfiable):  # without parameters nothing can be wrong with them
        ask()
