"""`bookrec webhooks`: who is told when something happens, and what became of it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, get_args
from uuid import uuid4

import typer
from rich.markup import escape
from rich.table import Table

from pipelines.cli.output import AsJson, console, print_json
from pipelines.errors import WebhookError
from pipelines.events import EventType
from pipelines.settings import Settings, get_settings

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from pipelines.storage.outbox import Delivery
    from pipelines.storage.webhooks import Endpoint

app = typer.Typer(help="Tell others when something happens.", no_args_is_help=True)

Number = Annotated[int, typer.Argument(metavar="ID", help="As `list` tells it.")]
DELIVERY_SECONDS = 240.0


@app.command()
def add(
    url: Annotated[str, typer.Argument(help="Where to: https://…")],
    event: Annotated[
        list[str] | None, typer.Option(help=f"All if not given: {', '.join(get_args(EventType))}.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Send events to an address; shows the secret that signs them, this once."""
    from pipelines.storage.webhooks import WebhookRepository
    from pipelines.webhooks.endpoints import checked_endpoint

    for name in event or ():
        if name not in get_args(EventType):
            raise WebhookError(f"there is no event {name!r}: {', '.join(get_args(EventType))}")
    with _transaction() as (session, settings):
        checked_endpoint(settings, url)
        endpoint = WebhookRepository(session).add(url, event or ())
    if as_json:
        print_json(asdict(endpoint))
        return
    console.print(f"Webhook {endpoint.id}. Its secret, which is not shown again:")
    console.print(endpoint.secret, markup=False, soft_wrap=True)


@app.command("list")
def list_endpoints(as_json: AsJson = False) -> None:
    """Who is told of what."""
    from pipelines.storage.webhooks import WebhookRepository

    with _transaction() as (session, _):
        endpoints = WebhookRepository(session).all()
    if as_json:
        print_json([_document(endpoint) for endpoint in endpoints])
        return
    table = Table("ID", "Address", "Events", "State", "Added")
    for e in endpoints:
        state = "[green]active[/]" if e.active else "[red]gone[/]"
        events = ", ".join(e.event_types) or "all"
        table.add_row(str(e.id), escape(e.url), events, state, f"{e.added_at:%Y-%m-%d %H:%M}")
    console.print(table if endpoints else "Nobody is told: see `bookrec webhooks add`.")


@app.command()
def remove(webhook: Number, as_json: AsJson = False) -> None:
    """Send nothing there any more, and forget what was sent."""
    from pipelines.storage.webhooks import WebhookRepository

    with _transaction() as (session, _):
        WebhookRepository(session).remove(webhook)
    _say(f"Webhook {webhook} is removed.", {"removed": webhook}, as_json)


@app.command("test")
def send_test(webhook: Number, as_json: AsJson = False) -> None:
    """Send a message of type `webhook.test`, once and now; exit code 1 if it does not arrive."""
    from pipelines.storage.outbox import payload
    from pipelines.storage.webhooks import WebhookRepository
    from pipelines.webhooks.delivery import utc_now
    from pipelines.webhooks.sending import Sender

    with _transaction() as (session, settings):
        endpoint = WebhookRepository(session).get(webhook)
    event_id, now = str(uuid4()), utc_now()
    body = payload("webhook.test", event_id, now, {"webhook": webhook})
    outcome = Sender(settings).send(endpoint, event_id, body, now)
    said = outcome.error or f"answered {outcome.status}"
    _say(escape(f"Webhook {webhook}: {said}."), asdict(outcome), as_json)
    if outcome.error:
        raise typer.Exit(1)


@app.command()
def deliver(
    seconds: Annotated[float, typer.Option(min=1, help="Stop after.")] = DELIVERY_SECONDS,
    as_json: AsJson = False,
) -> None:
    """Send what is due now; Airflow does that every few minutes."""
    from pipelines.storage.services import running_services
    from pipelines.webhooks.delivery import Courier

    with running_services(get_settings(), redis=False) as settings:
        endings = Courier.of(settings).deliver_due(seconds)
    told = ", ".join(f"{count} {ending}" for ending, count in endings.items())
    _say(told or "Nothing is due.", endings, as_json)


@app.command()
def deliveries(
    dead: Annotated[bool, typer.Option("--dead", help="Those that were given up.")] = False,
    n: Annotated[int, typer.Option("-n", "--n", min=1, help="How many.")] = 20,
    as_json: AsJson = False,
) -> None:
    """What was sent and is to be sent, newest first."""
    from pipelines.storage.outbox import Outbox

    with _transaction() as (session, _):
        found = Outbox(session).all("dead" if dead else None, n)
    if as_json:
        print_json([asdict(delivery) for delivery in found])
    else:
        console.print(_deliveries_table(found) if found else "None.")


@app.command()
def retry(
    delivery: Annotated[int, typer.Argument(metavar="ID", help="As `deliveries` tells it.")],
    as_json: AsJson = False,
) -> None:
    """Begin a delivery anew: it is due at once, with all its attempts."""
    from pipelines.storage.outbox import Outbox
    from pipelines.webhooks.delivery import utc_now

    with _transaction() as (session, _):
        again = Outbox(session).retry(delivery, utc_now())
    _say(f"Delivery {delivery} is due again.", asdict(again), as_json)


@contextmanager
def _transaction() -> "Iterator[tuple[Session, Settings]]":
    from pipelines.storage.services import running_services
    from pipelines.storage.unit_of_work import unit_of_work

    with (
        running_services(get_settings(), redis=False) as settings,
        unit_of_work(settings.known_database_url) as session,
    ):
        yield session, settings


def _document(endpoint: "Endpoint") -> dict[str, Any]:
    document = asdict(endpoint)
    del document["secret"]
    return document


def _say(sentence: str, document: Any, as_json: bool) -> None:
    if as_json:
        print_json(document)
    else:
        console.print(sentence, soft_wrap=True)


def _deliveries_table(found: "list[Delivery]") -> Table:
    colours = {"pending": "yellow", "delivered": "green", "dead": "red"}
    table = Table(box=None, pad_edge=False)
    for heading in ("ID", "Webhook", "Event", "State", "Attempts", "Next or last", "Error"):
        table.add_column(heading, no_wrap=heading != "Error")
    for d in found:
        when = f"{d.ended_at or d.due_at:%Y-%m-%d %H:%M}"
        state = f"[{colours[d.state]}]{d.state}[/]"
        numbers = (str(d.id), str(d.webhook_id), d.event_type, state, str(d.attempts))
        table.add_row(*numbers, when, escape(d.last_error or ""))
    return table
