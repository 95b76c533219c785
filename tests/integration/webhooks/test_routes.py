"""Webhooks over HTTP, as an administrator manages them."""

from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import SecretStr
from starlette.testclient import TestClient

from pipelines.events import BatchRefused
from pipelines.storage.database import migrate
from pipelines.storage.outbox import Outbox
from pipelines.storage.unit_of_work import unit_of_work
from pipelines.webhooks.delivery import Courier
from tests.receiver import Receiver, answer, receiving
from tests.serving_parts import Shelf, admin, bundle, client, parts, settings

pytestmark = pytest.mark.integration

URL = "/api/v1/admin/webhooks"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture
def chosen(postgres_url: str) -> dict[str, Any]:
    migrate(postgres_url)
    rules = {"allow_private": True, "retry_seconds": []}
    return {"database_url": SecretStr(postgres_url), "webhooks": rules}


@pytest.fixture
def http(chosen: dict[str, Any]) -> Iterator[TestClient]:
    with service(chosen) as http:
        yield http


def service(chosen: dict[str, Any]) -> TestClient:
    shelf = Shelf()
    shelf.publish(bundle())
    return client(parts(shelf, **chosen), headers=admin())


def acts(http: TestClient) -> list[tuple[str, str, str]]:
    found = http.get("/api/v1/admin/audit").json()
    return [(act["action"], act["target"], act["outcome"]) for act in reversed(found)]


def test_what_was_given_up_is_sent_again_and_all_of_it_is_on_record(
    http: TestClient, receiver: Receiver, chosen: dict[str, Any], postgres_url: str
):
    wish = {"url": receiver.url, "event_types": ["data.batch_refused"]}
    added = http.post(URL, json=wish)
    assert added.status_code == 201, added.text
    secret = added.json().pop("secret")
    assert secret.startswith("whsec_")
    (listed,) = http.get(URL).json()
    assert listed == {key: value for key, value in added.json().items() if key != "secret"}
    event = BatchRefused(
        occasion="1", dataset="shop", run_id="1", suite="ratings", failed=1, report="x"
    )
    with unit_of_work(postgres_url) as session:
        Outbox(session).write(event)
    courier = Courier.of(settings(**chosen))
    receiver.answers = [answer(500), answer(204)]
    assert courier.deliver_due(10) == {"dead": 1}
    (dead,) = http.get(f"{URL}/deliveries", params={"state": "dead"}).json()
    assert (dead["event_id"], dead["last_error"]) == (event.id, "answered 500")
    again = http.post(f"{URL}/deliveries/{dead['id']}/retry")
    assert (again.status_code, again.json()["state"]) == (202, "pending")
    assert courier.deliver_due(10) == {"delivered": 1}
    assert len(receiver.received) == 2
    assert http.delete(f"{URL}/{listed['id']}").status_code == 204
    assert (http.get(URL).json(), http.get(f"{URL}/deliveries").json()) == ([], [])
    assert acts(http) == [
        ("webhook.add", "webhook:127.0.0.1", "done"),
        ("webhook.retry", f"delivery:{dead['id']}", "done"),
        ("webhook.remove", f"webhook:{listed['id']}", "done"),
    ]


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1/x", "http://169.254.169.254/latest", "ftp://example.org", "\u0001"]
)
def test_addresses_that_may_not_be_called_are_refused(chosen: dict[str, Any], url: str):
    with service(chosen | {"webhooks": {}}) as http:
        answer = http.post(URL, json={"url": url})
        assert answer.status_code == 422
        assert answer.json()["type"] == "urn:bookrec:problem:webhook-refused"
        assert http.get(URL).json() == []
        assert acts(http) == [("webhook.add", "webhook", "failed")]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("DELETE", "/7", 404),
        ("POST", "/deliveries/7/retry", 404),
        ("DELETE", "/0", 422),
        ("DELETE", "/99999999999", 422),
        ("GET", "/deliveries?state=lost", 422),
    ],
)
def test_what_is_not_there_is_not_found(http: TestClient, method: str, path: str, status: int):
    assert http.request(method, URL + path).status_code == status
