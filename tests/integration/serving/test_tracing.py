"""Traces of the running service, as a collector gets them."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from pipelines.registry import CHAMPION, MlflowRegistry
from pipelines.storage.database import migrate
from tests import factories
from tests.integration.serving.conftest import Serve
from tests.receiver import Receiver, answer, receiving
from tests.serving_parts import admin

pytestmark = pytest.mark.integration

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
ASKED_FOR = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01", "x-request-id": "traced-1"}
WANTED = {"GET /api/v1/users/{user_id}", "MGET", "SELECT"}
"""Of one trace: the route, a question to Redis, one to PostgreSQL."""


@pytest.fixture
def collector() -> Iterator[Receiver]:
    with receiving() as receiver:
        receiver.answers = [answer(200)]
        yield receiver


def test_a_request_and_what_it_asked_of_others_are_one_trace(
    serve: Serve, registry: MlflowRegistry, postgres_url: str, collector: Receiver, tmp_path: Path
):
    migrate(postgres_url)
    factories.bundle().save(tmp_path / "bundle")
    registry.record_run("hybrid", "run", params={}, metrics={}, tags={})
    version = registry.register("hybrid", "run", tmp_path / "bundle", {"ndcg_at_10": "0.5"})
    registry.set_alias(CHAMPION, version.version)
    endpoint = f"http://127.0.0.1:{collector.port}"
    with serve(OTEL_EXPORTER_OTLP_ENDPOINT=endpoint, OTEL_BSP_SCHEDULE_DELAY="50") as served:
        served.until("/readyz", lambda a: a.status_code == 200)
        for path in ("/api/v1/users/ann", "/api/v1/users/ann/recommendations"):
            assert served.http.get(path, headers=admin() | ASKED_FOR).status_code == 200
        deadline = time.monotonic() + 10
        while not {span.name for span in _spans(collector)} >= WANTED:
            assert time.monotonic() < deadline, {span.name for span in _spans(collector)}
            time.sleep(0.05)
    spans = _spans(collector)
    ids = {span.span_id: span for span in spans}
    for span in spans:
        if span.kind == Span.SPAN_KIND_CLIENT:
            assert ids[span.parent_span_id].kind == Span.SPAN_KIND_SERVER
            assert "ann" not in str(span.attributes)
    (asked,) = [span for span in spans if span.name == "GET /api/v1/users/{user_id}"]
    assert "traced-1" in str(asked.attributes)
    assert not [span for span in _spans(collector, trace=None) if "readyz" in span.name]


def _spans(collector: Receiver, trace: str | None = TRACE) -> list[Span]:
    """All that came, or those of one trace."""
    spans = []
    for received in collector.received:
        request = ExportTraceServiceRequest()
        request.ParseFromString(received.body.encode(errors="surrogateescape"))
        for resource in request.resource_spans:
            for scope in resource.scope_spans:
                spans += scope.spans
    return [span for span in spans if trace in (None, span.trace_id.hex())]
