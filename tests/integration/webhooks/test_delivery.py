"""From the outbox to a receiver, and what becomes of what does not arrive."""

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text
from standardwebhooks import Webhook

from pipelines.errors import WebhookError
from pipelines.events import BatchRefused, Event, ModelRefused
from pipelines.settings import Settings
from pipelines.storage.database import migrate
from pipelines.storage.outbox import Delivery, Outbox
from pipelines.storage.unit_of_work import unit_of_work
from pipelines.storage.webhooks import Endpoint, WebhookRepository
from pipelines.webhooks.delivery import Courier
from tests.receiver import Receiver, answer, receiving

pytestmark = pytest.mark.integration

RETRIES = (5.0, 30.0)
PATIENCE = 30.0


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.now

    def move(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def database(postgres_url: str) -> str:
    migrate(postgres_url)
    return postgres_url


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def courier(database: str, clock: Clock) -> Courier:
    rules = {"allow_private": True, "timeout_seconds": 2, "retry_seconds": RETRIES}
    made = Courier.of(Settings(database_url=database, webhooks=rules))
    return replace(made, now=clock, chance=lambda: 0.0)


def refused(occasion: str = "run-1", *, at: datetime | None = None) -> Event:
    return BatchRefused(
        occasion=occasion,
        occurred_at=at or datetime(2026, 1, 1, tzinfo=UTC),
        dataset="shop",
        run_id=occasion,
        suite="quality gate",
        failed=2,
        report="profile/report.html",
    )


def listen(database: str, url: str, *event_types: str) -> Endpoint:
    with unit_of_work(database) as session:
        return WebhookRepository(session).add(url, event_types)


def write(database: str, *events: Event) -> None:
    with unit_of_work(database) as session:
        for event in events:
            Outbox(session).write(event)


def deliveries(database: str) -> list[Delivery]:
    """Oldest first."""
    with unit_of_work(database) as session:
        return Outbox(session).all(None, 100)[::-1]


def test_an_event_arrives_once_signed_and_is_noted(
    database: str, courier: Courier, receiver: Receiver
):
    endpoint = listen(database, receiver.url)
    event = refused()
    write(database, event)
    assert courier.deliver_due(PATIENCE) == {"delivered": 1}
    assert courier.deliver_due(PATIENCE) == {}
    (got,) = receiver.received
    assert got.headers["webhook-id"] == event.id
    document = Webhook(endpoint.secret).verify(got.body, dict(got.headers))
    assert document == {
        "type": "data.batch_refused",
        "id": event.id,
        "timestamp": "2026-01-01T00:00:00+00:00",
        "data": {
            "dataset": "shop",
            "run_id": "run-1",
            "suite": "quality gate",
            "failed": 2,
            "report": "profile/report.html",
        },
    }
    (noted,) = deliveries(database)
    assert (noted.state, noted.attempts, noted.last_error) == ("delivered", 1, None)


def test_the_same_event_written_again_is_not_sent_again(
    database: str, courier: Courier, receiver: Receiver
):
    listen(database, receiver.url)
    write(database, refused())
    courier.deliver_due(PATIENCE)
    write(database, refused(at=datetime(2026, 1, 2, tzinfo=UTC)))
    assert courier.deliver_due(PATIENCE) == {}
    assert len(receiver.received) == 1


def test_everybody_gets_what_they_asked_for(database: str, courier: Courier, receiver: Receiver):
    listen(database, f"{receiver.url}/data", "data.batch_refused", "data.drift_found")
    listen(database, f"{receiver.url}/models", "model.refused")
    listen(database, f"{receiver.url}/all")
    past = datetime(2026, 1, 1, tzinfo=UTC)
    model = ModelRefused(occasion="1", occurred_at=past, by="gate", model="m", version=1)
    write(database, refused(), model)
    assert courier.deliver_due(PATIENCE) == {"delivered": 4}
    got = sorted((r.path, json.loads(r.body)["type"]) for r in receiver.received)
    assert got == [
        ("/hook/all", "data.batch_refused"),
        ("/hook/all", "model.refused"),
        ("/hook/data", "data.batch_refused"),
        ("/hook/models", "model.refused"),
    ]


def test_an_event_whose_fact_is_rolled_back_is_never_told(
    database: str, courier: Courier, receiver: Receiver
):
    listen(database, receiver.url)
    with pytest.raises(RuntimeError), unit_of_work(database) as session:  # noqa: PT012 - the law
        Outbox(session).write(refused())
        raise RuntimeError("the fact did not come about")
    assert courier.deliver_due(PATIENCE) == {}


def test_what_fails_is_tried_again_later_and_with_the_same_id_and_a_new_timestamp(
    database: str, courier: Courier, receiver: Receiver, clock: Clock
):
    listen(database, receiver.url)
    write(database, refused())
    receiver.answers = [answer(500), answer(500), answer(204)]
    assert courier.deliver_due(PATIENCE) == {"postponed": 1}
    clock.move(RETRIES[0] - 0.1)
    assert courier.deliver_due(PATIENCE) == {}
    clock.move(0.1)
    assert courier.deliver_due(PATIENCE) == {"postponed": 1}
    clock.move(RETRIES[1])
    assert courier.deliver_due(PATIENCE) == {"delivered": 1}
    assert len({r.headers["webhook-id"] for r in receiver.received}) == 1
    assert len({r.headers["webhook-timestamp"] for r in receiver.received}) == 3
    assert len({r.body for r in receiver.received}) == 1


def test_pauses_are_longer_by_chance_and_never_shorter(
    database: str, courier: Courier, receiver: Receiver, clock: Clock
):
    listen(database, receiver.url)
    write(database, refused())
    receiver.answers = [answer(500)]
    replace(courier, chance=lambda: 1.0).deliver_due(PATIENCE)
    (waiting,) = deliveries(database)
    assert (waiting.due_at - clock.now).total_seconds() == pytest.approx(RETRIES[0] * 1.25)


@pytest.mark.parametrize(("asked", "waits"), [("60", 60), ("1", RETRIES[0]), ("99999999", 86_400)])
def test_a_busy_receiver_gets_the_time_it_asks_for_within_reason(
    database: str, courier: Courier, receiver: Receiver, clock: Clock, asked: str, waits: float
):
    listen(database, receiver.url)
    write(database, refused())
    receiver.answers = [answer(503, Retry_After=asked)]
    courier.deliver_due(PATIENCE)
    (waiting,) = deliveries(database)
    assert (waiting.due_at - clock.now).total_seconds() == pytest.approx(waits)


def test_what_never_arrives_is_given_up_kept_and_can_be_begun_anew(
    database: str, courier: Courier, receiver: Receiver, clock: Clock
):
    listen(database, receiver.url)
    write(database, refused())
    receiver.answers = [answer(500)]
    ends = []
    for _ in range(5):
        ends.append(courier.deliver_due(PATIENCE))
        clock.move(1000)
    assert ends == [{"postponed": 1}, {"postponed": 1}, {"dead": 1}, {}, {}]
    (dead,) = deliveries(database)
    assert (dead.state, dead.attempts, dead.last_error) == ("dead", 3, "answered 500")
    receiver.answers = [answer(200)]
    with unit_of_work(database) as session:
        Outbox(session).retry(dead.id, clock())
    assert courier.deliver_due(PATIENCE) == {"delivered": 1}
    assert {r.headers["webhook-id"] for r in receiver.received} == {dead.event_id}


def test_a_receiver_that_is_gone_is_not_asked_again(
    database: str, courier: Courier, receiver: Receiver, clock: Clock
):
    endpoint = listen(database, receiver.url)
    write(database, refused("a"), refused("b"))
    receiver.answers = [answer(410)]
    assert courier.deliver_due(PATIENCE) == {"dead": 1}
    write(database, refused("c"))
    clock.move(100_000)
    assert courier.deliver_due(PATIENCE) == {}
    assert len(receiver.received) == 1
    assert [d.state for d in deliveries(database)] == ["dead", "dead"]
    with unit_of_work(database) as session:
        assert not WebhookRepository(session).get(endpoint.id).active
        with pytest.raises(WebhookError, match=r"switched off, because it answered 410"):
            Outbox(session).retry(deliveries(database)[0].id, clock())


def test_a_receiver_that_fails_does_not_hold_up_the_others(
    database: str, courier: Courier, receiver: Receiver
):
    listen(database, "http://127.0.0.1:9/nobody")
    listen(database, receiver.url)
    write(database, *(refused(name) for name in "abc"))
    assert courier.deliver_due(PATIENCE) == {"postponed": 1, "delivered": 3}


def test_two_who_deliver_at_once_send_nothing_twice(
    database: str, courier: Courier, receiver: Receiver
):
    listen(database, receiver.url)
    listen(database, f"{receiver.url}/other")
    write(database, *(refused(str(n)) for n in range(15)))
    pause = threading.Event()

    def slowly(handler) -> None:
        pause.wait(0.01)
        answer(204)(handler)

    receiver.answers = [slowly]
    told: list[dict[str, int]] = []
    threads = [
        threading.Thread(target=lambda: told.append(courier.deliver_due(PATIENCE)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    courier.deliver_due(PATIENCE)
    got = [(r.path, r.headers["webhook-id"]) for r in receiver.received]
    assert len(got) == len(set(got)) == 30


KILLED = """
import os, signal, sys
from datetime import UTC, datetime
from pipelines.settings import Settings
from pipelines.webhooks.delivery import Courier
from tests.integration.webhooks.test_delivery import refused, write

database, when = sys.argv[1:]
if when == "before sending":
    write(database, refused())
    os.kill(os.getpid(), signal.SIGKILL)
settings = Settings(database_url=database, webhooks={"allow_private": True, "timeout_seconds": 30})
Courier.of(settings).deliver_due(60)
"""


def test_a_process_killed_after_the_fact_leaves_the_event_to_the_next(
    database: str, courier: Courier, receiver: Receiver
):
    listen(database, receiver.url)
    killed = subprocess.run([sys.executable, "-c", KILLED, database, "before sending"], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert courier.deliver_due(PATIENCE) == {"delivered": 1}


def test_a_process_killed_while_it_sends_leaves_the_event_to_the_next(
    database: str, courier: Courier, receiver: Receiver
):
    listen(database, receiver.url)
    write(database, refused())
    arrived, over = threading.Event(), threading.Event()

    def hanging(_handler) -> None:
        arrived.set()
        over.wait(30)

    receiver.answers = [hanging, answer(204)]
    with subprocess.Popen([sys.executable, "-c", KILLED, database, "while sending"]) as process:
        assert arrived.wait(30)
        assert courier.deliver_due(PATIENCE) == {}, "somebody else is sending it"
        process.kill()
    over.set()
    wait_until_nobody_holds_it(database)
    assert courier.deliver_due(PATIENCE) == {"delivered": 1}
    first, second = receiver.received
    assert first.headers["webhook-id"] == second.headers["webhook-id"]


def wait_until_nobody_holds_it(database: str) -> None:
    """PostgreSQL notices that a client died when it next talks to it."""
    with unit_of_work(database) as session:
        session.execute(text("set local lock_timeout = '20s'"))
        session.execute(text("select 1 from webhook_deliveries for update"))


def test_an_endpoint_removed_takes_its_deliveries_and_its_secret_with_it(
    database: str, courier: Courier, receiver: Receiver
):
    endpoint = listen(database, receiver.url)
    write(database, refused())
    with unit_of_work(database) as session:
        WebhookRepository(session).remove(endpoint.id)
    assert courier.deliver_due(PATIENCE) == {}
    assert deliveries(database) == []


def test_no_address_is_added_twice(database: str):
    listen(database, "https://hooks.example/x")
    with pytest.raises(WebhookError, match="is webhook 1 already"):
        listen(database, "https://hooks.example/x")


def test_secrets_differ_and_show_in_no_printed_endpoint(database: str):
    one, other = (listen(database, f"https://hooks.example/{n}") for n in "ab")
    assert one.secret != other.secret
    assert one.secret.startswith("whsec_")
    assert one.secret not in repr(one)
