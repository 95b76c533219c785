import threading

import pytest
from starlette.testclient import TestClient
from structlog.testing import capture_logs

from serving.bootstrap import Components
from tests.serving_parts import ADMIN_TOKEN, Shelf, bundle, client, parts

READER = "/api/v1/users/3/recommendations"


def test_every_answer_has_security_headers(http: TestClient):
    for path in (READER, "/api/v1/books/999", "/nowhere", "/docs", "/readyz"):
        headers = http.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["content-security-policy"].startswith("default-src 'none'")


def test_a_safe_request_id_is_echoed(http: TestClient):
    answer = http.get(READER, headers={"X-Request-ID": "order-66.a_b"})
    assert answer.headers["x-request-id"] == "order-66.a_b"


@pytest.mark.parametrize("given", ["", "a b", "x" * 65, "a\tb", "<script>", "a;b"])
def test_an_unsafe_request_id_is_replaced(http: TestClient, given: str):
    made = http.get(READER, headers={"X-Request-ID": given}).headers["x-request-id"]
    assert made != given
    assert len(made) == 32


def test_one_line_is_logged_a_request(http: TestClient):
    with capture_logs() as logs:
        answer = http.get(READER)
    (line,) = (log for log in logs if log["event"] == "request_answered")
    assert line.pop("milliseconds") > 0
    assert line.pop("request_id") == answer.headers["x-request-id"]
    assert line == {
        "event": "request_answered",
        "log_level": "info",
        "method": "GET",
        "route": "/api/v1/users/{user_id}/recommendations",
        "status": 200,
    }
    assert answer.status_code == 200


def test_a_defect_is_a_problem_without_a_trace(http: TestClient, components: Components):
    def fail(*_: object) -> None:
        raise ZeroDivisionError("a secret")

    components.slot.current.bundle.recommend = fail
    with capture_logs() as logs:
        answer = http.get(READER)
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["x-request-id"] == answer.json()["request_id"]
    assert "secret" not in answer.text
    assert "ZeroDivision" not in answer.text
    assert [log["event"] for log in logs] == ["request_failed", "request_answered"]


def test_what_takes_too_long_is_a_problem(
    http: TestClient, components: Components, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("serving.gateway.edge.ANSWER_SECONDS", 0.05)
    release = threading.Event()
    components.slot.current.bundle.recommend = lambda *_, **__: release.wait(5)
    with capture_logs() as logs:
        answer = http.get(READER)
    release.set()
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["x-frame-options"] == "DENY"
    assert [log["event"] for log in logs] == ["request_timed_out", "request_answered"]


def test_more_at_once_than_can_be_answered_is_a_problem_and_probes_pass(
    http: TestClient, monkeypatch: pytest.MonkeyPatch
):
    for module in ("edge", "short_way"):
        monkeypatch.setattr(f"serving.gateway.{module}.MAX_IN_FLIGHT", 0)
    assert http.get(READER).status_code == 503
    assert http.get("/livez").status_code == 200
    monkeypatch.undo()
    assert http.get(READER).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/nowhere", 404), ("DELETE", READER, 405), ("GET", "/api/v1/books/", 404)],
)
def test_what_does_not_exist_is_a_problem_too(
    http: TestClient, method: str, path: str, status: int
):
    answer = http.request(method, path)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"] == "about:blank"


def test_of_a_share_of_requests_the_errors_are_all_logged(shelf: Shelf):
    shelf.publish(bundle())
    components = parts(shelf, api={"admin_token": ADMIN_TOKEN, "access_log_share": 0})
    with client(components) as http, capture_logs() as logs:
        assert http.get("/livez").status_code == 200
        assert http.get("/nowhere").status_code == 404
    (line,) = (log for log in logs if log["event"] == "request_answered")
    assert line["status"] == 404
