"""`bookrec webhooks`, as a shell calls it."""

import json
from collections.abc import Callable, Iterator

import pytest
import structlog
from click.testing import Result
from typer.testing import CliRunner

from pipelines.cli import app
from pipelines.errors import WebhookError
from pipelines.events import BatchRefused
from pipelines.settings import get_settings
from pipelines.storage.outbox import Outbox
from pipelines.storage.unit_of_work import unit_of_work
from tests.receiver import Receiver, answer, receiving

pytestmark = pytest.mark.integration

Bookrec = Callable[..., Result]


@pytest.fixture
def bookrec(postgres_url: str, tmp_path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bookrec]:
    monkeypatch.setenv("BOOKREC_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("BOOKREC_DATABASE_URL", postgres_url)
    monkeypatch.setenv("BOOKREC_MLFLOW_TRACKING_URI", postgres_url)
    monkeypatch.setenv("BOOKREC_WEBHOOKS__ALLOW_PRIVATE", "true")
    get_settings.cache_clear()
    yield lambda *words: CliRunner().invoke(app, ["webhooks", *map(str, words)])
    structlog.reset_defaults()  # the command has pointed logs at what was stderr then
    get_settings.cache_clear()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


def answered(result: Result):
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def write_event(database: str) -> None:
    event = BatchRefused(
        occasion="1", dataset="shop", run_id="1", suite="ratings", failed=1, report="x"
    )
    with unit_of_work(database) as session:
        Outbox(session).write(event)


def test_the_secret_is_shown_when_it_is_made_and_never_again(bookrec: Bookrec, receiver: Receiver):
    added = answered(bookrec("add", receiver.url, "--event", "model.promoted", "--json"))
    assert added["secret"].startswith("whsec_")
    (listed,) = answered(bookrec("list", "--json"))
    assert listed == {key: added[key] for key in added if key != "secret"}
    assert listed["event_types"] == ["model.promoted"]
    assert added["secret"] not in bookrec("list").stdout


def test_for_people_the_secret_stands_in_a_line_of_its_own(bookrec: Bookrec, receiver: Receiver):
    lines = bookrec("add", receiver.url).stdout.splitlines()
    assert lines[-1].startswith("whsec_")
    assert len(lines[-1]) == len("whsec_") + 44


def test_a_test_message_arrives_and_its_failure_is_an_exit_code(
    bookrec: Bookrec, receiver: Receiver
):
    bookrec("add", receiver.url)
    assert "answered 204" in bookrec("test", 1).stdout
    assert json.loads(receiver.received[0].body)["type"] == "webhook.test"
    receiver.answers = [answer(500)]
    failed = bookrec("test", 1)
    assert failed.exit_code == 1
    assert "answered 500" in failed.stdout


def test_what_was_given_up_is_listed_begun_anew_and_delivered(
    bookrec: Bookrec, receiver: Receiver, postgres_url: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("BOOKREC_WEBHOOKS__RETRY_SECONDS", "[]")
    get_settings.cache_clear()
    bookrec("add", receiver.url)
    write_event(postgres_url)
    receiver.answers = [answer(400)]
    assert answered(bookrec("deliver", "--json")) == {"dead": 1}
    (dead,) = answered(bookrec("deliveries", "--dead", "--json"))
    assert (dead["state"], dead["last_error"]) == ("dead", "answered 400")
    receiver.answers = [answer(200)]
    assert answered(bookrec("retry", dead["id"], "--json"))["state"] == "pending"
    assert answered(bookrec("deliver", "--json")) == {"delivered": 1}
    assert answered(bookrec("deliveries", "--dead", "--json")) == []
    assert "delivered" in bookrec("deliveries").stdout


def test_a_removed_endpoint_is_gone(bookrec: Bookrec, receiver: Receiver):
    bookrec("add", receiver.url)
    assert answered(bookrec("remove", 1, "--json")) == {"removed": 1}
    assert answered(bookrec("list", "--json")) == []


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["add", "ftp://x/"], "must begin with"),
        (["add", "https://no-such-host.invalid/"], "cannot be resolved"),
        (["add", "https://127.0.0.1/", "--event", "model.lost"], "there is no event 'model.lost'"),
        (["remove", "7"], "no webhook 7"),
        (["test", "7"], "no webhook 7"),
        (["retry", "7"], "no delivery 7"),
    ],
)
def test_what_cannot_be_done_is_one_line(bookrec: Bookrec, words: list[str], reason: str):
    result = bookrec(*words)
    assert isinstance(result.exception, WebhookError)
    assert reason in str(result.exception)


def test_private_addresses_are_refused_where_nobody_allowed_them(
    bookrec: Bookrec, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("BOOKREC_WEBHOOKS__ALLOW_PRIVATE", "false")
    get_settings.cache_clear()
    result = bookrec("add", "https://127.0.0.1/")
    assert "not on the internet" in str(result.exception)
    assert answered(bookrec("list", "--json")) == []
