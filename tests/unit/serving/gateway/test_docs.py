import re

from starlette.testclient import TestClient


def test_the_docs_load_nothing_from_elsewhere(http: TestClient):
    page = http.get("/docs").text
    loaded = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert len(loaded) == 3
    for path in loaded:
        assert path.startswith("/docs/assets/")
        assert http.get(path).status_code == 200
    assert "//" not in page.replace("<!DOCTYPE", "").replace("// ", "")


def test_the_root_leads_to_the_docs(http: TestClient):
    answer = http.get("/")
    assert (answer.status_code, answer.headers["location"]) == (307, "/docs")


def test_every_route_names_its_problems_in_the_contract(http: TestClient):
    paths = http.get("/openapi.json").json()["paths"]
    for path in ("/users/{user_id}/recommendations", "/books/{book_id}", "/models/current"):
        responses = paths[f"/api/v1{path}"]["get"]["responses"]
        assert "application/problem+json" in responses["503"]["content"]
        assert "application/json" in responses["200"]["content"]
    assert set(paths["/api/v1/admin/cache/warm"]) == {"get", "post"}
    assert paths["/api/v1/admin/cache/warm"]["post"]["security"]


def test_the_contract_has_no_shape_that_is_not_answered(http: TestClient):
    assert "HTTPValidationError" not in http.get("/openapi.json").text
