"""
Events that wait to be sent.

An event is written in the transaction of the fact that it tells of, once for each endpoint that
wants it: what was committed will be told, and what was rolled back will not.
"""

import json
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from pipelines.errors import UnknownWebhookError, WebhookError
from pipelines.events import Event
from pipelines.storage.tables import WebhookDeliveryRow, WebhookRow
from pipelines.storage.webhooks import Endpoint, WebhookRepository, endpoint_of

State = Literal["pending", "delivered", "dead"]


@dataclass(frozen=True)
class Delivery:
    """An event on its way to one endpoint; `attempts` counts those that were made."""

    id: int
    webhook_id: int
    event_id: str
    event_type: str
    body: str
    state: State
    attempts: int
    due_at: datetime
    last_error: str | None
    created_at: datetime
    ended_at: datetime | None


def payload(event_type: str, event_id: str, occurred_at: datetime, data: object) -> str:
    """The body of a message, as Standard Webhooks recommends it."""
    document = {
        "type": event_type,
        "id": event_id,
        "timestamp": occurred_at.isoformat(),
        "data": data,
    }
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))


class Outbox:
    """Deliveries, made and still to be made."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def write(self, event: Event) -> None:
        """Have an event sent to all who want it; one that was written before is not again."""
        data = event.model_dump(mode="json")
        body = payload(event.type, event.id, event.occurred_at, data)
        # Locked against removal, so that telling of a fact can never undo it.
        listening = select(WebhookRow).where(WebhookRow.active)
        for row in self._session.scalars(listening.with_for_update(read=True, key_share=True)):
            if (endpoint := endpoint_of(row)).wants(event.type):
                statement = insert(WebhookDeliveryRow).values(
                    webhook_id=endpoint.id,
                    event_id=event.id,
                    event_type=event.type,
                    body=body,
                    due_at=event.occurred_at,
                )
                self._session.execute(statement.on_conflict_do_nothing())

    def take(self, now: datetime, resting: Collection[int]) -> tuple[Delivery, Endpoint] | None:
        """
        What is due longest; until this transaction ends nobody else can take it, nor anything
        that goes to the same endpoint.

        Args:
            now: What is due later is left.
            resting: Endpoints to leave alone.
        """
        row = self._session.execute(
            select(WebhookDeliveryRow, WebhookRow)
            .join(WebhookRow)
            .where(
                WebhookDeliveryRow.state == "pending",
                WebhookDeliveryRow.due_at <= now,
                WebhookDeliveryRow.webhook_id.not_in(resting),
                WebhookRow.active,
            )
            .order_by(WebhookDeliveryRow.due_at, WebhookDeliveryRow.id)
            .limit(1)
            .with_for_update(key_share=True, skip_locked=True)
        ).first()
        return None if row is None else (_delivery(row[0]), endpoint_of(row[1]))

    def end(self, delivery_id: int, state: State, now: datetime, error: str | None) -> None:
        """Note the last attempt, good or bad."""
        row = self._attempted(delivery_id, error)
        row.state, row.ended_at = state, now

    def postpone(self, delivery_id: int, due_at: datetime, error: str) -> None:
        """Note a failed attempt, and when to try again."""
        self._attempted(delivery_id, error).due_at = due_at

    def abandon(self, webhook_id: int, now: datetime, reason: str) -> None:
        """Give up all that waits for an endpoint."""
        waiting = update(WebhookDeliveryRow).where(
            WebhookDeliveryRow.webhook_id == webhook_id, WebhookDeliveryRow.state == "pending"
        )
        self._session.execute(waiting.values(state="dead", ended_at=now, last_error=reason))

    def all(self, state: State | None, n: int) -> list[Delivery]:
        """The last `n`, newest first; of one state, or of any."""
        query = select(WebhookDeliveryRow).order_by(WebhookDeliveryRow.id.desc()).limit(n)
        if state is not None:
            query = query.where(WebhookDeliveryRow.state == state)
        return [_delivery(row) for row in self._session.scalars(query)]

    def retry(self, delivery_id: int, now: datetime) -> Delivery:
        """
        Begin a delivery anew, under the same id of the event.

        Raises:
            UnknownWebhookError: there is none of that number.
            WebhookError: its endpoint is switched off.
        """
        row = self._row(delivery_id)
        if not WebhookRepository(self._session).get(row.webhook_id).active:
            raise WebhookError(
                f"webhook {row.webhook_id} is switched off, because it answered 410 (gone): "
                "add its address again"
            )
        row.state, row.attempts, row.due_at, row.ended_at = "pending", 0, now, None
        return _delivery(row)

    def ended_before(self, at: datetime) -> tuple[int, int]:
        """How many deliveries came to an end before that, and the bytes of their bodies."""
        size = func.coalesce(func.sum(func.octet_length(WebhookDeliveryRow.body)), 0)
        found = self._session.execute(
            select(func.count(), size).where(WebhookDeliveryRow.ended_at < at)
        ).one()
        return int(found[0]), int(found[1])

    def remove_ended(self, at: datetime) -> None:
        """Forget them; what waits has not ended."""
        self._session.execute(delete(WebhookDeliveryRow).where(WebhookDeliveryRow.ended_at < at))

    def _attempted(self, delivery_id: int, error: str | None) -> WebhookDeliveryRow:
        row = self._row(delivery_id)
        row.attempts += 1
        row.last_error = error
        return row

    def _row(self, delivery_id: int) -> WebhookDeliveryRow:
        row = self._session.get(WebhookDeliveryRow, delivery_id, with_for_update=True)
        if row is None:
            raise UnknownWebhookError(
                f"there is no delivery {delivery_id}: see `bookrec webhooks deliveries`"
            )
        return row


def _delivery(row: WebhookDeliveryRow) -> Delivery:
    state: State = row.state  # type: ignore[assignment] # the column holds nothing else
    return Delivery(
        row.id,
        row.webhook_id,
        row.event_id,
        row.event_type,
        row.body,
        state,
        row.attempts,
        row.due_at,
        row.last_error,
        row.created_at,
        row.ended_at,
    )
