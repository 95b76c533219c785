"""The OpenAPI contract, completed by what the table of roles says of each route."""

from typing import Any

from fastapi import FastAPI

from serving.gateway.errors import described
from serving.gateway.schemas import Problem
from serving.security.roles import ROUTES, Rule

_SCHEMES: dict[str, Any] = {
    "password": {
        "type": "oauth2",
        "flows": {
            "password": {"tokenUrl": "/api/v1/auth/token", "scopes": {}},
            "clientCredentials": {"tokenUrl": "/api/v1/auth/token", "scopes": {}},
        },
    },
    "token": {"type": "http", "scheme": "bearer", "description": "Any credential, as it is."},
    "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}


def complete_contract(app: FastAPI) -> None:
    """Let the contract of `app` say who may call what, and what errors look like."""
    made = app.openapi

    def completed() -> dict[str, Any]:
        schema = made()
        if "securitySchemes" not in schema["components"]:
            schema["components"]["securitySchemes"] = _SCHEMES
            schema["components"]["schemas"]["Problem"] = Problem.model_json_schema()
            for path, operations in schema["paths"].items():
                for method, operation in operations.items():
                    rule = ROUTES.get(f"{method.upper()} {path}")
                    if rule is not None and path.startswith("/api/"):
                        _complete(operation, rule)
        return schema

    app.openapi = completed  # type: ignore[method-assign] # as FastAPI's manual says


def _complete(operation: dict[str, Any], rule: Rule) -> None:
    nobody: list[dict[str, list[str]]] = [{}] if rule.anyone else []
    operation["security"] = nobody + [{name: []} for name in _SCHEMES]
    refusals = described(401, 429) if rule.anyone else described(401, 403, 429)
    has_body = "requestBody" in operation
    if has_body or operation.get("parameters"):
        refusals |= described(422)
    else:
        operation["responses"].pop("422", None)  # of a router: this route takes nothing
    if has_body:
        refusals |= described(400)
    for status, response in refusals.items():
        operation["responses"].setdefault(str(status), response)
    roles = [*sorted(rule.roles), *(["reader, of their own"] if rule.own else [])]
    if not rule.anyone:
        told = operation.get("description", "")
        operation["description"] = f"{told}\n\nFor roles: {', '.join(roles)}.".strip()
