"""
Send what is due, and decide what becomes of what did not arrive.

At least once: a delivery stays locked while it is sent and is noted in the same transaction, so two
who deliver at once never send the same, and one who is killed leaves it to the next.
"""

import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

import structlog
from sqlalchemy.orm import Session

from pipelines.settings import Settings
from pipelines.storage.outbox import Delivery, Outbox
from pipelines.storage.unit_of_work import unit_of_work
from pipelines.storage.webhooks import Endpoint, WebhookRepository
from pipelines.webhooks.sending import GONE, Outcome, Sender

log = structlog.get_logger()

LONGEST_PATIENCE_SECONDS = 86_400.0
"""A receiver that asks for more does not get it."""
JITTER = 0.25
"""Up to so much longer, so that what failed together does not come again together."""

Clock = Callable[[], datetime]
Ending = Literal["delivered", "postponed", "dead"]


def utc_now() -> datetime:
    """The time of day."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class Courier:
    """
    Delivers what is due.

    Attributes:
        database_url: Where the outbox is.
        sender: Makes one attempt.
        retry_seconds: From one failed attempt to the next.
        now: The time of day.
        chance: A number in [0, 1).
    """

    database_url: str
    sender: Sender
    retry_seconds: Sequence[float]
    now: Clock = utc_now
    chance: Callable[[], float] = random.random

    @classmethod
    def of(cls, settings: Settings) -> "Courier":
        """From prepared settings."""
        url = settings.known_database_url
        return cls(url, Sender(settings), settings.webhooks.retry_seconds)

    def deliver_due(self, seconds: float) -> dict[str, int]:
        """
        Send until nothing is due or the time is over; gives how many attempts ended how.

        An endpoint that fails is left alone for the rest of the call, so it cannot use up the time
        of the others.

        Raises:
            StorageError: the database does not answer.
        """
        ends, resting = time.monotonic() + seconds, set[int]()
        endings = Counter[str]()
        while time.monotonic() < ends:
            with unit_of_work(self.database_url) as session:
                taken = Outbox(session).take(self.now(), resting)
                if taken is None:
                    break
                delivery, endpoint = taken
                ending = self._deliver(session, delivery, endpoint)
            endings[ending] += 1
            if ending != "delivered":
                resting.add(endpoint.id)
        return dict(endings)

    def _deliver(self, session: Session, delivery: Delivery, endpoint: Endpoint) -> Ending:
        now = self.now()
        outcome = self.sender.send(endpoint, delivery.event_id, delivery.body, now)
        ending = self._noted(session, delivery, outcome, now)
        # Not the address: what stands behind its host is often as good as a password.
        write = log.info if ending == "delivered" else log.warning
        write(
            f"webhook_{ending}",
            webhook=endpoint.id,
            delivery=delivery.id,
            type=delivery.event_type,
            error=outcome.error,
        )
        return ending

    def _noted(
        self, session: Session, delivery: Delivery, outcome: Outcome, now: datetime
    ) -> Ending:
        outbox = Outbox(session)
        if outcome.error is None:
            outbox.end(delivery.id, "delivered", now, None)
            return "delivered"
        if outcome.status == GONE:
            WebhookRepository(session).switch_off(delivery.webhook_id)
            outbox.abandon(delivery.webhook_id, now, "another was answered 410 (gone)")
        elif delivery.attempts < len(self.retry_seconds):
            wait = self._wait(delivery.attempts, outcome)
            outbox.postpone(delivery.id, now + timedelta(seconds=wait), outcome.error)
            return "postponed"
        outbox.end(delivery.id, "dead", now, outcome.error)
        return "dead"

    def _wait(self, failed_before: int, outcome: Outcome) -> float:
        planned = self.retry_seconds[failed_before] * (1 + JITTER * self.chance())
        return max(planned, min(outcome.retry_after or 0.0, LONGEST_PATIENCE_SECONDS))
