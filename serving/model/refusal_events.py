"""Telling others that a champion cannot be served."""

from dataclasses import dataclass

import structlog

from pipelines.errors import StorageError
from pipelines.events import ModelRefused
from pipelines.storage.outbox import Outbox
from pipelines.storage.unit_of_work import unit_of_work
from serving.model.slot import Refusal, SlotObserver

log = structlog.get_logger()


@dataclass(frozen=True)
class RefusalEvents(SlotObserver):
    """Writes each refused version into the outbox, once a day however many workers refuse it."""

    database_url: str
    model_name: str

    def refused(self, refusal: Refusal, in_service: int | None) -> None:
        if refusal.version is None:  # the registry did not answer: nothing is known of any version
            return
        event = ModelRefused(
            occasion=f"service/{self.model_name}/{refusal.version}/{refusal.at:%Y-%m-%d}",
            by="service",
            model=self.model_name,
            version=refusal.version,
            in_service=in_service,
        )
        try:
            with unit_of_work(self.database_url) as session:
                Outbox(session).write(event)
        except StorageError as error:  # serving goes on without PostgreSQL
            log.warning("event_lost", type=event.type, reason=str(error))
