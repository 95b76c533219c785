"""Webhooks' deliveries that came to their end, well or badly, and have had their time."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial

from pipelines.maintenance.expired import Expired
from pipelines.settings import Settings
from pipelines.storage.outbox import Outbox
from pipelines.storage.unit_of_work import unit_of_work


def expired_deliveries(settings: Settings) -> Iterator[Expired]:
    """All of them as one, if there are any; what still waits to be sent is never among them."""
    url = settings.known_database_url
    before = datetime.now(UTC) - timedelta(days=settings.maintenance.delivery_days)
    with unit_of_work(url) as session:
        count, size = Outbox(session).ended_before(before)
    if count:
        yield Expired("deliveries", str(count), size, partial(_remove, url, before))


def _remove(url: str, before: datetime) -> None:
    with unit_of_work(url) as session:
        Outbox(session).remove_ended(before)
