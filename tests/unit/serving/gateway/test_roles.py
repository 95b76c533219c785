"""Who may call what, over the whole table and the whole application."""

from itertools import product

import pytest
from fastapi.routing import APIRoute
from starlette.routing import Mount, Route
from starlette.testclient import TestClient

from pipelines.credentials.roles import Role
from serving.bootstrap import Components
from serving.security.principal import Principal
from serving.security.roles import ROUTES, may
from tests.serving_parts import client

OWN = "GET /api/v1/users/{user_id}/recommendations"


def named(http: TestClient) -> set[str]:
    return {
        f"{method} {route.path}"
        for route in http.app.routes
        if isinstance(route, Route | APIRoute)
        for method in route.methods - {"HEAD"}
    }


def test_the_table_names_every_route_and_no_other(http: TestClient):
    assert named(http) == set(ROUTES)
    assert [route.path for route in http.app.routes if isinstance(route, Mount)] == ["/docs/assets"]


@pytest.mark.parametrize("route", sorted(ROUTES))
def test_nobody_is_let_through_who_is_not_in_the_table(components: Components, route: str):
    """Each role, and a caller from elsewhere without credentials, against each route."""
    method, path = route.split(" ", 1)
    path = path.replace("{user_id}", "somebody")
    tokens = components.security.grants._tokens
    with client(components, address="203.0.113.9") as http:
        for role in (None, *Role):
            headers = {}
            if role is not None:
                token = tokens.issue(Principal("user", "ann", frozenset({role})))
                headers["Authorization"] = f"Bearer {token}"
            status = http.request(method, path, headers=headers).status_code
            rule = ROUTES[route]
            if rule.anyone or role in rule.roles:
                assert status not in (401, 403) or path == "/api/v1/auth/token"
            else:
                assert status == (401 if role is None else 403)


@pytest.mark.parametrize(
    ("role", "user_id"), list(product(Role, ["ann", "Ann", "bob", "ann ", "ann%00", ""]))
)
def test_a_reader_may_ask_for_nobody_else(role: Role, user_id: str):
    expected = user_id == "ann" or role is not Role.READER
    assert may(Principal("user", "ann", frozenset({role})), OWN, user_id) is expected


def test_what_the_table_does_not_name_nobody_may():
    assert not may(Principal("user", "root", frozenset(Role)), "GET /api/v1/not/there")


def test_a_reader_of_two_roles_may_what_either_may():
    both = Principal("user", "ann", frozenset({Role.READER, Role.SERVICE}))
    assert may(both, OWN, "bob")
