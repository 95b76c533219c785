"""Accounts in PostgreSQL, sessions in Redis, tokens over HTTP."""

import statistics
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from starlette.testclient import TestClient

from pipelines.credentials.api_keys import ApiKey
from pipelines.credentials.passwords import hash_password
from pipelines.credentials.roles import Role
from pipelines.storage.accounts import KeyRepository, UserRepository
from pipelines.storage.audit import AuditLog
from pipelines.storage.database import migrate
from pipelines.storage.unit_of_work import unit_of_work
from tests.serving_parts import Shelf, admin, bundle, client, parts

pytestmark = pytest.mark.integration

ANN = "/api/v1/users/ann/recommendations"
BOB = "/api/v1/users/bob/recommendations"
PASSWORD = "seven wild geese"  # noqa: S105 - opens nothing
WRONG, STRANGE = "wrong", "a.b"
MANY = {"login": "100000/minute"}


@pytest.fixture(scope="module")
def hashed() -> str:
    return hash_password(PASSWORD)


@pytest.fixture
def database(postgres_url: str, hashed: str) -> str:
    migrate(postgres_url)
    with unit_of_work(postgres_url) as session:
        users = UserRepository(session)
        users.add("ann", hashed, [Role.READER])
        users.add("root", hashed, [Role.ADMIN])
    return postgres_url


def service(shelf: Shelf, database: str, redis_url: str | None, **security: Any) -> TestClient:
    """A service that callers from elsewhere ask."""
    shelf.publish(bundle())
    changes = {
        "database_url": SecretStr(database),
        "redis_url": SecretStr(redis_url) if redis_url else None,
        "security": {"rate_limits": MANY} | security,
    }
    return client(parts(shelf, **changes), address="203.0.113.9")


@pytest.fixture
def http(database: str, redis_url: str) -> Iterator[TestClient]:
    with service(Shelf(), database, redis_url) as http:
        yield http


def grant(http: TestClient, **form: str) -> httpx.Response:
    return http.post("/api/v1/auth/token", data=form)


def login(http: TestClient, name: str = "ann") -> dict[str, Any]:
    answer = grant(http, grant_type="password", username=name, password=PASSWORD)
    assert answer.status_code == 200, answer.text
    return answer.json()


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_a_password_gives_a_token_for_ones_own_data_alone(http: TestClient):
    granted = login(http)
    assert (granted["token_type"], granted["scope"], granted["expires_in"]) == (
        "bearer",
        "reader",
        900,
    )
    headers = bearer(granted["access_token"])
    assert http.get(ANN, headers=headers).status_code == 200
    assert http.get(BOB, headers=headers).status_code == 403
    assert http.get(ANN).status_code == 401
    assert http.get("/api/v1/admin/users", headers=headers).status_code == 403


@pytest.mark.parametrize(
    ("form", "status", "error"),
    [
        ({"grant_type": "password", "username": "ann", "password": "wrong"}, 400, "invalid_grant"),
        ({"grant_type": "password", "username": "no", "password": "wrong"}, 400, "invalid_grant"),
        ({"grant_type": "password", "username": "\0", "password": "\0"}, 400, "invalid_grant"),
        ({"grant_type": "client_credentials", "client_id": "a" * 12}, 401, "invalid_client"),
        ({"grant_type": "client_credentials", "client_id": "\0"}, 401, "invalid_client"),
        ({"grant_type": "refresh_token", "refresh_token": "a.b"}, 400, "invalid_grant"),
        ({"grant_type": "refresh_token"}, 400, "invalid_grant"),
        ({"grant_type": "implicit"}, 400, "unsupported_grant_type"),
    ],
)
def test_what_proves_nothing_gives_nothing(
    http: TestClient, form: dict[str, str], status: int, error: str
):
    answer = grant(http, **form)
    assert (answer.status_code, answer.json()["error"]) == (status, error)
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_refresh_token_is_good_once_and_a_stolen_one_ends_the_session(http: TestClient):
    first = login(http)
    second = grant(http, grant_type="refresh_token", refresh_token=first["refresh_token"]).json()
    stolen = grant(http, grant_type="refresh_token", refresh_token=first["refresh_token"])
    assert stolen.status_code == 400
    owner = grant(http, grant_type="refresh_token", refresh_token=second["refresh_token"])
    assert owner.json()["error"] == "invalid_grant"
    # Never seen before by this worker, so its session is looked up.
    assert http.get(ANN, headers=bearer(second["access_token"])).status_code == 401


def test_logging_out_ends_the_session_and_no_other(http: TestClient):
    here, there = login(http), login(http)
    out = http.post("/api/v1/auth/logout", data={"refresh_token": here["refresh_token"]})
    assert out.status_code == 204
    again = grant(http, grant_type="refresh_token", refresh_token=here["refresh_token"])
    assert again.status_code == 400
    other = grant(http, grant_type="refresh_token", refresh_token=there["refresh_token"])
    assert other.status_code == 200


def test_a_session_that_is_refreshed_has_the_roles_of_now(http: TestClient, database: str):
    granted = login(http)
    with unit_of_work(database) as session:
        UserRepository(session).change("ann", roles=[Role.CURATOR])
    again = grant(http, grant_type="refresh_token", refresh_token=granted["refresh_token"])
    assert again.json()["scope"] == "curator"
    with unit_of_work(database) as session:
        UserRepository(session).change("ann", disabled=True)
    last = grant(http, grant_type="refresh_token", refresh_token=again.json()["refresh_token"])
    assert last.status_code == 400
    assert grant(http, grant_type="password", username="ann", password=PASSWORD).status_code == 400


def test_a_key_opens_by_header_as_bearer_and_as_client(http: TestClient, database: str):
    key = ApiKey.new()
    with unit_of_work(database) as session:
        KeyRepository(session).add(key, "shop", [Role.SERVICE])
    assert http.get(BOB, headers={"X-API-Key": key.text}).status_code == 200
    assert http.get(BOB, headers=bearer(key.text)).status_code == 200
    granted = grant(
        http, grant_type="client_credentials", client_id=key.key_id, client_secret=key.secret
    ).json()
    assert granted["refresh_token"] is None
    assert http.get(BOB, headers=bearer(granted["access_token"])).status_code == 200
    forged = ApiKey(key.key_id, ApiKey.new().secret)
    assert http.get(BOB, headers={"X-API-Key": forged.text}).status_code == 401
    with unit_of_work(database) as session:
        assert key.secret not in repr(KeyRepository(session).all())


def test_an_admin_makes_accounts_and_keys_and_all_is_on_record(http: TestClient, database: str):
    headers = bearer(login(http, "root")["access_token"])
    new = {"name": "carol", "password": "quite a long sentence", "roles": ["reader"]}
    made = http.post("/api/v1/admin/users", json=new, headers=headers)
    assert made.status_code == 201
    assert "password" not in made.text
    assert http.post("/api/v1/admin/users", json=new, headers=headers).status_code == 409
    changed = http.patch("/api/v1/admin/users/carol", json={"disabled": True}, headers=headers)
    assert changed.json()["disabled"] is True
    missing = http.patch("/api/v1/admin/users/dave", json={"disabled": True}, headers=headers)
    assert missing.status_code == 404
    weak = new | {"name": "eve", "password": "password1234"}
    assert http.post("/api/v1/admin/users", json=weak, headers=headers).status_code == 422
    key = http.post(
        "/api/v1/admin/keys", json={"name": "shop", "roles": ["service"]}, headers=headers
    ).json()
    assert http.get(BOB, headers={"X-API-Key": key["api_key"]}).status_code == 200
    listed = http.get("/api/v1/admin/keys", headers=headers)
    assert key["client_secret"] not in listed.text
    gone = http.delete(f"/api/v1/admin/keys/{key['key_id']}", headers=headers)
    assert gone.status_code == 204
    removed = http.delete("/api/v1/admin/users/carol", headers=headers)
    assert removed.status_code == 204
    http.post("/api/v1/admin/cache/warm", headers=admin())
    reader = bearer(login(http)["access_token"])
    assert http.get("/api/v1/admin/audit", headers=reader).status_code == 403
    record = http.get("/api/v1/admin/audit", headers=headers).json()
    told = [(entry["actor"], entry["action"], entry["outcome"]) for entry in reversed(record)]
    assert told == [
        ("user:root", "user.add", "done"),
        ("user:root", "user.add", "failed"),
        ("user:root", "user.change", "done"),
        ("user:root", "user.change", "failed"),
        ("user:root", "key.add", "done"),
        ("user:root", "key.revoke", "done"),
        ("user:root", "user.remove", "done"),
        ("operator:admin-token", "cache.warm", "done"),
        ("user:ann", "admin", "denied"),
    ]
    assert record[-1]["request_id"] == made.headers["x-request-id"]
    with unit_of_work(database) as session:
        assert "quite a long" not in repr(AuditLog(session).latest(99))


def test_an_unknown_name_takes_as_long_as_a_wrong_password(http: TestClient):
    def seconds(name: str) -> float:
        started = time.perf_counter()
        grant(http, grant_type="password", username=name, password=WRONG)
        return time.perf_counter() - started

    seconds("warm-up")
    pairs = [(seconds("ann"), seconds("nobody")) for _ in range(15)]
    known, unknown = (statistics.median(times) for times in zip(*pairs, strict=True))
    assert 0.6 < known / unknown < 1.6


def test_without_redis_a_login_gives_an_access_token_alone(database: str):
    with service(Shelf(), database, None) as http:
        granted = login(http)
        assert granted["refresh_token"] is None
        assert http.get(ANN, headers=bearer(granted["access_token"])).status_code == 200
        refused = grant(http, grant_type="refresh_token", refresh_token=STRANGE)
        assert (refused.status_code, refused.json()["type"]) == (
            503,
            "urn:bookrec:problem:no-cache",
        )


def test_without_postgresql_tokens_work_on_and_logins_say_to_come_back(
    database: str, redis_url: str
):
    with service(Shelf(), database, redis_url) as http:
        granted = login(http)
        http.app.state.components.database._url = "postgresql://u:p@127.0.0.1:1/none"
        assert http.get(ANN, headers=bearer(granted["access_token"])).status_code == 200
        assert http.get(BOB, headers=admin()).status_code == 200
        refused = grant(http, grant_type="password", username="ann", password=PASSWORD)
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
        assert "127.0.0.1" not in refused.text
        spared = grant(http, grant_type="refresh_token", refresh_token=granted["refresh_token"])
        assert spared.status_code == 503
        http.app.state.components.database._url = database
        http.app.state.components.database._away_until = 0
        again = grant(http, grant_type="refresh_token", refresh_token=granted["refresh_token"])
        assert again.status_code == 200


def test_the_first_admin_is_made_once(postgres_url: str, redis_url: str):
    migrate(postgres_url)
    first = {"first_admin_name": "chief", "first_admin_password": PASSWORD}
    with service(Shelf(), postgres_url, redis_url, **first) as http:
        _until(lambda: grant(http, grant_type="password", username="chief", password=PASSWORD))
    with service(
        Shelf(), postgres_url, redis_url, first_admin_name="other", first_admin_password=PASSWORD
    ):
        time.sleep(0.3)
    with unit_of_work(postgres_url) as session:
        assert [user.name for user in UserRepository(session).all()] == ["chief"]


def test_tables_that_are_missing_are_said_to_be(postgres_url: str, redis_url: str):
    with service(Shelf(), postgres_url, redis_url) as http:
        refused = grant(http, grant_type="password", username="ann", password=PASSWORD)
        assert refused.status_code == 503


HOSTILE = [
    "'; drop table users; --",
    "ann' or '1'='1",
    'ann"; delete from api_keys; --',
    "%(name)s {name} %s $1 :name",
    "\\'; select pg_sleep(9); --",
    "../../etc/passwd",
    "<script>alert(1)</script>",
    "{{7*7}}${7*7}",
    "a\r\nSet-Cookie: a=b",
    "\x00",
    "\u202eadmin",
    "𝒶𝒹𝓂𝒾𝓃" * 40,
]


@pytest.mark.parametrize("text", HOSTILE)
def test_no_text_in_any_field_does_what_it_says(http: TestClient, database: str, text: str):
    fields = {
        "username": "password",
        "client_id": "client_credentials",
        "client_secret": "client_credentials",
        "refresh_token": "refresh_token",
    }
    for field, kind in fields.items():
        form = {"grant_type": kind, "password": PASSWORD, field: text}
        assert 400 <= grant(http, **form).status_code < 500
    assert grant(http, grant_type=text).status_code in (400, 422)
    assert (
        400 <= grant(http, grant_type="password", username="ann", password=text).status_code < 500
    )
    out = http.post("/api/v1/auth/logout", data={"refresh_token": text})
    assert out.status_code in (204, 422)
    strict = {"name": text, "password": "quite a long sentence", "roles": ["reader"]}
    made = http.post("/api/v1/admin/users", json=strict, headers=admin())
    assert made.status_code in (201, 409, 422)
    quoted = "".join(f"%{byte:02X}" for byte in text.encode())
    asked = http.patch(f"/api/v1/admin/users/{quoted}", json={"disabled": True}, headers=admin())
    assert asked.status_code in (200, 404)
    assert asked.status_code == 404 or made.status_code == 201
    ended = http.delete(f"/api/v1/admin/users/{quoted}/sessions", headers=admin())
    assert ended.status_code in (204, 404)
    assert http.delete(f"/api/v1/admin/keys/{quoted}", headers=admin()).status_code == 404
    key = http.post("/api/v1/admin/keys", json={"name": text, "roles": ["reader"]}, headers=admin())
    assert key.status_code in (201, 409, 422)
    assert http.get(f"/api/v1/books/{quoted}").status_code in (404, 422)
    with unit_of_work(database) as session:
        names = {user.name for user in UserRepository(session).all()}
    assert names == {"ann", "root"} | ({text} if made.status_code == 201 else set())
    login(http)


@pytest.mark.parametrize("raw", [b"username=%FF%FE", b"username=\xff", b"username=%ED%A0%80"])
def test_what_is_not_utf_8_is_a_wrong_name(http: TestClient, raw: bytes):
    body = b"grant_type=password&password=x&" + raw
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = http.post("/api/v1/auth/token", content=body, headers=headers)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")


def _until(asked: Any) -> None:
    deadline = time.monotonic() + 5
    while asked().status_code != 200:
        assert time.monotonic() < deadline
        time.sleep(0.05)
