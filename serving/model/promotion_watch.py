"""
Taking a promotion back by itself, where the service shows that the new champion is broken.

Each worker counts for itself. Whether the champion is still the one that failed, and was promoted
lately, is decided in the turn that every move takes: of all workers and replicas one acts.
"""

from dataclasses import dataclass
from typing import Literal

import structlog
from prometheus_client import Counter

from pipelines.errors import RegistryError, ReleaseError, StorageError
from pipelines.release.rollback import take_back
from pipelines.settings import Settings
from serving.model.ab_test import Trial
from serving.model.slot import ModelSlot, SlotObserver

log = structlog.get_logger()

Cause = Literal["refused", "errors"]


@dataclass
class _Count:
    """What readers were given since a worker has a version."""

    version: int | None = None
    answered: int = 0
    failed: int = 0

    @property
    def error_rate(self) -> float:
        asked = self.answered + self.failed
        return self.failed / asked if asked else 0.0


class PromotionWatch(SlotObserver):
    """
    Counts answers, and rolls back where they or the slot say so; in the slot's thread.

    Args:
        settings: Where the record is, and when to act.
        trial: Who is answered by another model than the champion; their answers do not count.
        done: Rollbacks made, by cause.
    """

    def __init__(self, settings: Settings, trial: Trial | None, done: Counter) -> None:
        self._settings = settings
        self._trial = trial if trial is not None and not trial.settings.shadow else None
        self._done = done
        self._count = _Count()
        self._given_up: int | None = None

    def answered(self, route: str, reader: str | None, *, failed: bool) -> None:
        """Note one answer, or that there was none because of a defect or for want of time."""
        if not route.startswith(("/api/v1/recommendations", "/api/v1/books")) and not (
            route.endswith("/recommendations")
        ):
            return
        if self._trial is not None and (reader is None or self._trial.draws(reader)):
            return
        if failed:
            self._count.failed += 1
        else:
            self._count.answered += 1

    def looked(self, slot: ModelSlot) -> None:
        """Act on what is known of the champion by now."""
        model, refusal = slot.current, slot.last_refusal
        if model is not None and model.number != self._count.version:
            self._count = _Count(model.number)
        if self._given_up not in (self._count.version, refusal and refusal.version):
            self._given_up = None
        if refusal is not None and refusal.version is not None and refusal.is_broken:
            self._take_back(slot, refusal.version, "refused", refusal.reason)
        elif model is not None and self._fails():
            asked = self._count.answered + self._count.failed
            why = f"{self._count.error_rate:.1%} of {asked} answers failed"
            self._take_back(slot, model.number, "errors", why)

    def _fails(self) -> bool:
        rules, count = self._settings.watch, self._count
        if count.answered + count.failed < rules.minimum_requests:
            return False
        return count.error_rate > rules.maximum_error_rate

    def _take_back(self, slot: ModelSlot, version: int, cause: Cause, why: str) -> None:
        seconds = self._settings.watch.seconds
        if not seconds or version == self._given_up:
            return
        try:
            take_back(self._settings, slot.registry, version, within_seconds=seconds, why=why)
        except ReleaseError as error:  # another was faster, or it is for somebody to decide
            self._given_up = version
            log.warning("champion_not_taken_back", version=version, reason=str(error), why=why)
        except (RegistryError, StorageError) as error:  # tried again at the next look
            log.warning("champion_not_taken_back", version=version, reason=str(error), why=why)
        else:
            self._done.labels(cause).inc()
            log.error("champion_taken_back", version=version, why=why)
            slot.look()
