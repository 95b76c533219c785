"""What is turned away before the application sees it."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

from pipelines.credentials.roles import Role
from serving.bootstrap import Components
from serving.gateway.app import create_app
from serving.security.principal import Principal
from tests.serving_parts import Shelf, admin, bundle, client, parts

POPULAR = "/api/v1/books/popular"
ANN = "/api/v1/users/ann/recommendations"
TOKEN = "/api/v1/auth/token"  # noqa: S105 - an address
USERS = "/api/v1/admin/users"
ELSEWHERE = "203.0.113.9"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def service(shelf: Shelf, address: str = "127.0.0.1", **changes: Any) -> TestClient:
    shelf.publish(bundle())
    return client(parts(shelf, **changes), address=address)


@pytest.fixture
def stranger(components: Components) -> Iterator[TestClient]:
    """Somebody without credentials, from elsewhere."""
    with client(components, address=ELSEWHERE) as http:
        yield http


def is_problem(answer: Any, status: int) -> bool:
    kind = answer.headers["content-type"]
    assert (answer.status_code, kind) == (status, "application/problem+json"), answer.text
    assert answer.json()["request_id"] == answer.headers["x-request-id"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "Traceback" not in answer.text
    return True


# Callers without credentials


def test_a_stranger_may_ask_what_is_about_nobody(stranger: TestClient):
    for path in (POPULAR, "/api/v1/books/3", "/api/v1/books/3/similar", "/readyz", "/docs"):
        assert stranger.get(path).status_code == 200
    for path in (ANN, "/api/v1/models/current", USERS):
        answer = stranger.get(path)
        assert is_problem(answer, 401)
        assert answer.headers["www-authenticate"] == "Bearer"


def test_a_program_of_this_machine_may_what_services_may(http: TestClient):
    assert http.get(ANN).status_code == 200
    assert http.get("/api/v1/auth/me").json()["kind"] == "local"
    assert is_problem(http.get(USERS), 401)


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Forwarded-For": "127.0.0.1"},
        {"Forwarded": "for=127.0.0.1"},
        {"X-Real-IP": "127.0.0.1"},
        {"Host": "rebound.example"},
        {"Host": "localhost.example:8080"},
    ],
)
def test_what_came_through_a_proxy_or_by_another_name_is_not_local(
    http: TestClient, headers: dict[str, str]
):
    assert is_problem(http.get(ANN, headers=headers), 401)


@pytest.mark.parametrize(
    "address", [ELSEWHERE, "10.0.0.1", "::2", "localhost", "127.0.0.1.example"]
)
def test_only_loopback_addresses_are_local(components: Components, address: str):
    with client(components, address=address) as http:
        assert is_problem(http.get(ANN), 401)


@pytest.mark.parametrize(
    "changes",
    [{"environment": "production"}, {"environment": "staging"}, {"api": {"host": "0.0.0.0"}}],  # noqa: S104
)
def test_outside_of_development_and_on_open_ports_nobody_is_local(
    shelf: Shelf, changes: dict[str, Any]
):
    with service(shelf, **changes) as http:
        assert is_problem(http.get(ANN), 401)
        assert http.get(POPULAR).status_code == 200


def test_what_is_opened_to_anyone_is_open(shelf: Shelf):
    with service(shelf, ELSEWHERE, security={"open_to_anyone": True}) as http:
        assert http.get(ANN).status_code == 200


# Credentials


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer eyJhbGciOiJub25lIn0.e30."},
        {"Authorization": "Digest x"},
        {"Authorization": "Bearer " + "x" * 5000},
        {"X-API-Key": "bk_1"},
        {"X-API-Key": "the-admin-token-of-the-tests"},
        {"Authorization": "Bearer the-admin-token-of-the-tests", "X-API-Key": "bk_1"},
    ],
)
def test_bad_credentials_are_refused_even_where_none_are_needed(
    http: TestClient, headers: dict[str, str]
):
    assert is_problem(http.get(POPULAR, headers=headers), 401)


def test_credentials_given_twice_are_refused(http: TestClient):
    twice = [("Authorization", admin()["Authorization"])] * 2
    assert is_problem(http.get(POPULAR, headers=twice), 401)


def test_guessing_is_counted_as_logging_in_is(shelf: Shelf):
    with service(shelf, ELSEWHERE, security={"rate_limits": {"login": "3/minute"}}) as http:
        statuses = [http.get(POPULAR, headers=admin("guess")).status_code for _ in range(5)]
        assert statuses == [401, 401, 401, 429, 429]
        assert http.get(POPULAR).status_code == 200


def test_a_reader_gets_no_further_than_their_own_data(stranger: TestClient, components: Components):
    token = components.security.grants._tokens.issue(
        Principal("user", "a/n n", frozenset({Role.READER}))
    )
    headers = {"Authorization": f"Bearer {token}"}
    path = "/api/v1/users/{}/recommendations"
    assert stranger.get(path.format("a%2Fn%20n"), headers=headers).status_code == 200
    for other in ("a", "b", "a%2Fn%20n%20", "A%2Fn%20n", "..%2Fa%2Fn%20n", "a%2Fn%20n%00"):
        assert is_problem(stranger.get(path.format(other), headers=headers), 403)


def test_a_verified_credential_is_not_believed_for_ever(
    components: Components, monkeypatch: pytest.MonkeyPatch
):
    now = [1_000.0]
    authenticator = components.security.authenticator
    monkeypatch.setattr(authenticator, "_clock", lambda: now[0])
    issued = components.security.grants._tokens.issue(Principal("user", "ann", frozenset(Role)))
    headers = {"Authorization": f"Bearer {issued}"}
    with client(components, address=ELSEWHERE) as http:
        assert http.get(ANN, headers=headers).status_code == 200
        monkeypatch.setattr(components.security.grants._tokens, "verify", lambda _: None)
        monkeypatch.setattr(authenticator._tokens, "verify", lambda _: None)
        assert http.get(ANN, headers=headers).status_code == 200
        now[0] += 61
        assert http.get(ANN, headers=headers).status_code == 401


# Limits


def test_a_limit_is_told_and_held_and_probes_have_none(shelf: Shelf):
    with service(shelf, ELSEWHERE, security={"rate_limits": {"anonymous": "3/minute"}}) as http:
        answers = [http.get(POPULAR) for _ in range(4)]
        assert [a.status_code for a in answers] == [200, 200, 200, 429]
        assert [a.headers["ratelimit-remaining"] for a in answers] == ["2", "1", "0", "0"]
        assert {a.headers["ratelimit-limit"] for a in answers} == {"3"}
        assert is_problem(answers[-1], 429)
        assert 1 <= int(answers[-1].headers["retry-after"]) <= 60
        assert all(http.get("/livez").status_code == 200 for _ in range(5))
        assert http.get(ANN, headers=admin()).status_code == 200


def test_what_is_left_can_be_asked(stranger: TestClient):
    stranger.get(POPULAR)
    told = stranger.get("/api/v1/ratelimit/info").json()
    assert (told["policy"], told["limit"], told["window_seconds"]) == ("anonymous", 120, 60)
    assert told["remaining"] == 118


def test_logins_are_counted_by_address_and_by_name(shelf: Shelf):
    limits = {"rate_limits": {"login": "3/minute"}}
    components = parts(shelf, security=limits)
    form = {"grant_type": "password", "username": "ann", "password": "guess"}
    statuses = []
    for number in range(5):
        with client(components, address=f"203.0.113.{number}") as http:
            statuses.append(http.post(TOKEN, data=form).status_code)
    assert statuses == [503, 503, 503, 429, 429]  # without a database there is nobody to be


# Bodies


@pytest.mark.parametrize(
    "kind",
    ["application/vnd.bentoml+pickle", "application/octet-stream", "application/x-pickle",
     "multipart/form-data; boundary=x", "text/plain", "application/json-pickle", "", "json"],
)  # fmt: skip
def test_only_json_and_forms_are_read(http: TestClient, kind: str):
    body = b"\x80\x04\x95\x0f\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix"
    assert is_problem(http.post(TOKEN, content=body, headers={"Content-Type": kind}), 415)


def test_compressed_bodies_are_not_read(http: TestClient):
    headers = FORM | {"Content-Encoding": "gzip"}
    assert is_problem(http.post(TOKEN, content=b"\x1f\x8b", headers=headers), 415)


@pytest.mark.parametrize("announced", [True, False])
def test_ten_megabytes_are_too_much(http: TestClient, announced: bool):
    ten = b"x" * 10_000_000
    chunks = (ten[i : i + 65_536] for i in range(0, len(ten), 65_536))
    answer = http.post(TOKEN, content=ten if announced else chunks, headers=FORM)
    assert is_problem(answer, 413)
    assert answer.headers["connection"] == "close"


def test_a_body_that_drips_is_given_up(components: Components):
    """A body whose end never comes, as in a slow-loris attack."""
    components.security.settings.body_seconds = 0.2
    app = create_app(lambda: components)
    sent: list[Any] = []

    async def drip() -> dict[str, Any]:
        await asyncio.sleep(0.05)
        return {"type": "http.request", "body": b"x", "more_body": True}

    async def keep(message: Any) -> None:
        sent.append(message)

    async def ask() -> float:
        app.state.components = components
        headers = [(b"host", b"localhost"), (b"content-length", b"9999")]
        headers += [(k.lower().encode(), v.encode()) for k, v in FORM.items()]
        scope = {"type": "http", "method": "POST", "path": TOKEN, "raw_path": TOKEN.encode()}
        scope |= {"headers": headers, "query_string": b"", "client": ("127.0.0.1", 1)}
        scope |= {"scheme": "http", "server": ("localhost", 80), "root_path": ""}
        started = asyncio.get_running_loop().time()
        await asyncio.wait_for(app(scope | {"http_version": "1.1"}, drip, keep), 5)
        return asyncio.get_running_loop().time() - started

    assert asyncio.run(ask()) < 1
    assert sent[0]["status"] == 408
    assert json.loads(sent[1]["body"])["status"] == 408


@pytest.mark.parametrize(
    "body",
    [b"\xff\xfe", b'{"name": "\\ud800"}', b'{"\\ud800": 1}', b"[" * 100_000, b"null", b"{" * 9,
     b'{"name": "a", "password": "seven wild geese", "roles": ["root"]}',
     b'{"name": "a", "password": "seven wild geese", "roles": []}',
     b'{"name": "a", "password": "seven wild geese", "roles": ["reader"], "is_admin": true}'],
)  # fmt: skip
def test_bodies_that_make_no_sense_are_problems(http: TestClient, body: bytes):
    headers = admin() | {"Content-Type": "application/json"}
    answer = http.post(USERS, content=body, headers=headers)
    assert is_problem(answer, answer.status_code)
    assert answer.status_code in (400, 422)


def test_a_secret_in_a_bad_body_is_not_echoed(http: TestClient):
    body = {"name": "a", "password": ["a secret"], "roles": "a secret"}
    answer = http.post(USERS, json=body, headers=admin())
    assert is_problem(answer, 422)
    assert "a secret" not in answer.text


# Hosts, origins, headers


def test_a_name_that_is_not_ours_is_refused(shelf: Shelf):
    trusted = {"trusted_hosts": ["api.example.org", "*.shop.example"]}
    with service(shelf, security=trusted) as http:
        for host in ("api.example.org", "API.example.org:8080", "a.shop.example"):
            assert http.get(POPULAR, headers={"Host": host}).status_code == 200
        for host in (
            "evil.example",
            "shop.example",
            "evilshop.example",
            "api.example.org.evil",
            "",
        ):
            assert is_problem(http.get(POPULAR, headers={"Host": host}), 400)
        assert http.get("/livez", headers={"Host": "10.1.2.3:8080"}).status_code == 200


def test_pages_of_named_origins_may_call_and_no_others(shelf: Shelf):
    asked = {
        "Access-Control-Request-Method": "GET",
        "Access-Control-Request-Headers": "authorization",
    }
    with service(shelf, ELSEWHERE, security={"cors_origins": ["https://shop.example"]}) as http:
        ours = {"Origin": "https://shop.example"}
        preflight = http.options(ANN, headers=ours | asked)
        assert preflight.status_code == 200
        assert preflight.headers["access-control-allow-origin"] == "https://shop.example"
        assert "access-control-allow-credentials" not in preflight.headers
        assert preflight.headers["x-request-id"]
        refused = http.get(ANN, headers=ours)
        assert is_problem(refused, 401)
        assert refused.headers["access-control-allow-origin"] == "https://shop.example"
        for origin in ("https://evil.example", "null", "https://shop.example.evil"):
            theirs = http.options(ANN, headers={"Origin": origin} | asked)
            assert is_problem(theirs, 405)
            assert "access-control-allow-origin" not in theirs.headers


def test_a_wildcard_for_origins_is_refused():
    with pytest.raises(ValueError, match="name each origin"):
        parts(Shelf(), security={"cors_origins": ["*"]})


def test_https_is_asked_for_where_it_was_used(components: Components):
    with client(components, base_url="https://localhost") as http:
        assert http.get(POPULAR).headers["strict-transport-security"] == "max-age=31536000"
    with client(components) as http:
        assert "strict-transport-security" not in http.get(POPULAR).headers


@pytest.mark.parametrize("given", ["a\r\nSet-Cookie: a=b", "a\nb", "%0d%0aSet-Cookie:a=b"])
def test_no_header_can_be_smuggled_in(http: TestClient, given: str):
    for answer in (
        http.get(POPULAR, headers={"X-Request-ID": given}),
        http.get(f"/api/v1/books/{given.replace(chr(13), '%0d').replace(chr(10), '%0a')}"),
        http.post(TOKEN, data={"grant_type": given}),
    ):
        assert "set-cookie" not in answer.headers
        assert "\n" not in answer.headers["x-request-id"]
