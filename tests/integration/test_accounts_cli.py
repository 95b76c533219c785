"""`bookrec users`, `keys` and `token`, as an operator types them."""

import io
import json
import sys
from collections.abc import Callable

import pytest
import structlog

from pipelines.cli import main
from pipelines.credentials.passwords import is_password
from pipelines.settings import get_settings
from pipelines.storage.accounts import UserRepository
from pipelines.storage.audit import AuditLog
from pipelines.storage.unit_of_work import unit_of_work
from tests.servers import free_port

pytestmark = pytest.mark.integration

PASSWORD = "seven wild geese"  # noqa: S105 - opens nothing
Bookrec = Callable[..., str]


@pytest.fixture
def bookrec(postgres_url: str, tmp_path, monkeypatch, capsys) -> Bookrec:
    """Run a command; gives what it printed, or the line it ended with."""
    monkeypatch.setenv("BOOKREC_HOME", str(tmp_path))
    monkeypatch.setenv("BOOKREC_DATABASE_URL", postgres_url)
    monkeypatch.setenv("BOOKREC_MLFLOW_TRACKING_URI", postgres_url)
    monkeypatch.setenv("BOOKREC_API__PORT", str(free_port()))
    get_settings.cache_clear()

    def run(*arguments: str, typed: str = PASSWORD) -> str:
        monkeypatch.setattr(sys, "argv", ["bookrec", *arguments])
        monkeypatch.setattr(sys, "stdin", io.StringIO(f"{typed}\n"))
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code if isinstance(ended.value.code, str) else capsys.readouterr().out

    yield run
    get_settings.cache_clear()
    structlog.reset_defaults()


def add(bookrec: Bookrec, name: str = "ann", role: str = "reader", **options: str) -> str:
    return bookrec("users", "add", name, "--role", role, "--password-stdin", **options)


def test_an_account_is_made_changed_and_disabled(bookrec: Bookrec, postgres_url: str):
    assert "ann may log in as reader" in add(bookrec)
    bookrec("users", "roles", "ann", "--role", "curator", "--role", "reader")
    bookrec("users", "password", "ann", "--password-stdin", typed="another long phrase")
    bookrec("users", "disable", "ann")
    (listed,) = json.loads(bookrec("users", "list", "--json"))
    assert (listed["name"], listed["roles"], listed["disabled"]) == (
        "ann",
        ["curator", "reader"],
        True,
    )
    assert "hash" not in str(listed)
    with unit_of_work(postgres_url) as session:
        user = UserRepository(session).find("ann")
    assert is_password("another long phrase", user.password_hash)
    assert "no account any more" in bookrec("users", "remove", "ann")
    assert json.loads(bookrec("users", "list", "--json")) == []


def test_what_cannot_be_is_one_line(bookrec: Bookrec):
    add(bookrec)
    assert add(bookrec) == "bookrec: there is a user 'ann' already"
    assert "12 characters or more" in add(bookrec, "bob", typed="short")
    assert "too easily guessed" in add(bookrec, "bob", typed="Password1234!")
    assert "there are reader, service, curator, admin" in add(bookrec, "bob", role="king")
    assert "there is no user 'bob'" in bookrec("users", "disable", "bob")
    assert "there is no key 'bob'" in bookrec("keys", "revoke", "bob")
    assert "a name has" in add(bookrec, "b\tb")
    refused = bookrec("token", "--user", "ann", "--password-stdin")
    assert "no service answers" in refused
    assert "\n" not in refused


def test_a_key_is_shown_once(bookrec: Bookrec):
    made = json.loads(bookrec("keys", "add", "shop", "--role", "service", "--days", "7", "--json"))
    bookrec("keys", "revoke", made["key_id"])
    listed = bookrec("keys", "list", "--json")
    assert made["api_key"].rpartition("_")[2] not in listed
    assert json.loads(listed)[0]["opens"] is False


def test_every_act_is_on_record_with_who_typed_it(bookrec: Bookrec, postgres_url: str):
    add(bookrec)
    add(bookrec)
    bookrec("users", "disable", "ann")
    with unit_of_work(postgres_url) as session:
        entries = AuditLog(session).latest(9)
    assert [(e.action, e.target, e.outcome) for e in reversed(entries)] == [
        ("user.add", "user:ann reader", "done"),
        ("user.add", "user:ann reader", "failed"),
        ("user.disable", "user:ann", "done"),
    ]
    assert {entry.actor.partition(":")[0] for entry in entries} == {"shell"}
