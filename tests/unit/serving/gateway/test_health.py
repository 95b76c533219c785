import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from serving.bootstrap import Components
from tests.fakes import FakeCache
from tests.serving_parts import Shelf


def test_with_model_and_redis_it_is_ready(http: TestClient):
    answer = http.get("/readyz")
    assert answer.status_code == 200
    assert answer.json() == {
        "status": "ready",
        "checks": {
            "model": {"ok": True, "detail": "version 1"},
            "redis": {"ok": True, "detail": "answers"},
            "registry": {"ok": True, "detail": "answers"},
        },
    }


def test_without_redis_it_is_degraded_and_still_ready(http: TestClient, cache: FakeCache):
    cache.failure = "connection refused"
    answer = http.get("/readyz")
    assert (answer.status_code, answer.json()["status"]) == (200, "degraded")
    assert answer.json()["checks"]["redis"] == {"ok": False, "detail": "connection refused"}


def test_without_the_registry_the_model_stays_and_the_registry_is_named(
    http: TestClient, components: Components, shelf: Shelf
):
    shelf.registry.failure = "MLflow: connection refused"
    components.slot.refresh()
    answer = http.get("/readyz")
    assert (answer.status_code, answer.json()["status"]) == (200, "degraded")
    assert answer.json()["checks"]["registry"] == {
        "ok": False,
        "detail": "MLflow: connection refused",
    }
    assert http.get("/api/v1/users/3/recommendations").status_code == 200


def test_without_a_model_it_is_alive_but_not_ready(empty: TestClient):
    answer = empty.get("/readyz")
    assert (answer.status_code, answer.json()["status"]) == (503, "unready")
    assert "run the pipeline first" in answer.json()["checks"]["model"]["detail"]
    assert empty.get("/livez").status_code == 200


RECOMMENDATIONS = "/api/v1/users/{user_id}/recommendations"


@pytest.mark.parametrize(
    ("name", "labels", "value"),
    [
        ("requests_total", {"route": RECOMMENDATIONS, "method": "GET", "status": "200"}, 3),
        ("requests_total", {"route": "/api/v1/books/{book_id}", "status": "404"}, 1),
        ("requests_total", {"route": "unmatched", "method": "GET", "status": "404"}, 1),
        ("requests_total", {"route": "unmatched", "method": "other", "status": "404"}, 1),
        ("request_seconds_count", {"route": RECOMMENDATIONS}, 3),
        ("recommendations_total", {"source": "cache", "version": "1"}, 1),
        ("recommendations_total", {"source": "model"}, 1),
        ("recommendations_total", {"source": "fallback"}, 1),
        ("cache_operations_total", {"result": "local"}, 1),
        ("cache_operations_total", {"result": "miss"}, 1),
        ("cache_operations_total", {"result": "stored"}, 1),
        ("model_info", {"version": "1", "alias": "champion"}, 1),
    ],
)
def test_metrics_count_by_route_template(
    http: TestClient, name: str, labels: dict[str, str], value: float
):
    for reader in ("3", "3", "nobody"):
        http.get(f"/api/v1/users/{reader}/recommendations")
    http.get("/api/v1/books/999")
    http.get("/wp-login.php")
    http.request("BREW", "/coffee")
    answer = http.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    samples = [s for family in text_string_to_metric_families(answer.text) for s in family.samples]
    (found,) = (
        s for s in samples if s.name == f"bookrec_{name}" and labels.items() <= s.labels.items()
    )
    assert found.value == value


def test_an_unavailable_cache_is_counted(http: TestClient, cache: FakeCache):
    cache.failure = "connection refused"
    http.get("/api/v1/users/3/recommendations")
    assert 'bookrec_cache_operations_total{result="unavailable"} 1.0' in http.get("/metrics").text
