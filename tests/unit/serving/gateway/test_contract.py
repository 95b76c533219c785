"""The API's contract: complete, and not changed by accident."""

import json
from pathlib import Path
from typing import Any

import pytest

from serving.gateway.app import create_app

SNAPSHOT = Path(__file__).with_name("openapi.json")
PROBLEM = "application/problem+json"
TELLING = {"example", "examples", "default", "enum", "const", "$ref"}


def contract() -> dict[str, Any]:
    """Made without a service; without the version, which is no part of it."""
    made = create_app(lambda: None).openapi()  # type: ignore[arg-type,return-value] # never entered
    made["info"].pop("version")
    return made


def rendered(document: dict[str, Any]) -> str:
    """One line a route and a shape, so that a difference can be read."""
    lines = [f'"{key}": {json.dumps(value)}' for key, value in document.items() if key == "info"]
    for name, entries in {"paths": document["paths"], **document["components"]}.items():
        inner = ",\n".join(f'  "{key}": {json.dumps(entries[key])}' for key in sorted(entries))
        lines.append(f'"{name}": {{\n{inner}\n}}')
    return "{\n" + ",\n".join(lines) + "\n}\n"


OPERATIONS = [
    pytest.param(operation, id=f"{method.upper()} {path}")
    for path, methods in contract()["paths"].items()
    for method, operation in methods.items()
]


def test_the_contract_is_as_it_was_agreed():
    """Renew with `make openapi`, and say in the changelog what has changed."""
    assert rendered(contract()) == SNAPSHOT.read_text()


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_problem_has_a_shape_and_an_example(operation):
    problems = {s: r for s, r in operation["responses"].items() if int(s) >= 400}
    if operation["operationId"].startswith("readyz"):
        problems = {}  # answers how ready it is, whether it is or not
    for status, response in problems.items():
        assert set(response["content"]) == {PROBLEM}
        content = response["content"][PROBLEM]
        assert content["schema"] == {"$ref": "#/components/schemas/Problem"}
        for example in content["examples"].values():
            assert example["value"]["status"] == int(status)
    assert operation["summary"]


@pytest.mark.parametrize("operation", OPERATIONS)
def test_what_takes_values_names_how_it_refuses_them(operation):
    takes = bool(operation.get("parameters")) or "requestBody" in operation
    assert ("422" in operation["responses"]) == takes
    assert ("400" in operation["responses"]) == ("requestBody" in operation)


def test_every_value_has_an_example():
    made = contract()
    for name, shape in made["components"]["schemas"].items():
        for field, schema in shape.get("properties", {}).items():
            made_of = schema.get("items", {}).keys() & {"$ref"}
            assert TELLING & schema.keys() or made_of, f"{name}.{field}"
    for operation in OPERATIONS:
        for parameter in operation.values[0].get("parameters", ()):
            assert TELLING & parameter["schema"].keys() or TELLING & parameter.keys(), parameter


if __name__ == "__main__":
    SNAPSHOT.write_text(rendered(contract()))
