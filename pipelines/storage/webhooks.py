"""Endpoints: who asked to be told of events."""

import base64
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from pipelines.errors import UnknownWebhookError, WebhookError
from pipelines.storage.tables import WebhookRow

_SECRET_BYTES = 32
"""Standard Webhooks asks for 24 to 64."""


@dataclass(frozen=True)
class Endpoint:
    """Where events are sent to."""

    id: int
    url: str
    event_types: tuple[str, ...]
    """Empty for all."""
    active: bool
    added_at: datetime
    secret: str = field(repr=False)

    def wants(self, event_type: str) -> bool:
        """Whether events of this type are sent there."""
        return not self.event_types or event_type in self.event_types


class WebhookRepository:
    """Endpoints, in the order they were added."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def add(self, url: str, event_types: Sequence[str]) -> Endpoint:
        """
        A new endpoint with a secret of its own.

        Raises:
            WebhookError: events are sent there already.
        """
        for known in self.all():
            if known.active and known.url == url:
                raise WebhookError(f"{url} is webhook {known.id} already: remove that one first")
        secret = "whsec_" + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()
        row = WebhookRow(url=url, secret=secret, event_types=sorted(set(event_types)))
        self._session.add(row)
        self._session.flush()
        self._session.refresh(row)
        return endpoint_of(row)

    def all(self) -> list[Endpoint]:
        """Every endpoint, those that were switched off too."""
        rows = self._session.scalars(select(WebhookRow).order_by(WebhookRow.id))
        return [endpoint_of(row) for row in rows]

    def get(self, webhook_id: int) -> Endpoint:
        """
        One endpoint.

        Raises:
            UnknownWebhookError: there is none of that number.
        """
        return endpoint_of(self._row(webhook_id))

    def remove(self, webhook_id: int) -> None:
        """
        Forget an endpoint, its secret, and what was sent there or was to be.

        Raises:
            UnknownWebhookError: there is none of that number.
        """
        self._session.delete(self._row(webhook_id))

    def switch_off(self, webhook_id: int) -> None:
        """Send nothing there any more."""
        self._row(webhook_id).active = False

    def _row(self, webhook_id: int) -> WebhookRow:
        row = self._session.get(WebhookRow, webhook_id)
        if row is None:
            raise UnknownWebhookError(
                f"there is no webhook {webhook_id}: see `bookrec webhooks list`"
            )
        return row


def endpoint_of(row: WebhookRow) -> Endpoint:
    """A row as the rest of the project sees it."""
    return Endpoint(row.id, row.url, tuple(row.event_types), row.active, row.added_at, row.secret)
