"""
Which model answers a reader: the champion, or for a share of the readers another one on trial.

A shadow answers nobody: its lists are made in the background and compared with the champion's.
"""

import hashlib
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import structlog
from prometheus_client import Counter, Histogram

from pipelines.service_settings import AbTestSettings
from serving.model.slot import LoadedModel, ModelSlot

log = structlog.get_logger()

LENGTH = 10
"""Of the lists that are compared."""

MAX_WAITING = 16
"""Comparisons that may wait; further ones are left out, so that readers never wait for them."""


@dataclass(frozen=True)
class Trial:
    """The model on trial, and for whom."""

    slot: ModelSlot
    settings: AbTestSettings

    def draws(self, reader: str) -> bool:
        """Whether a reader is of the share; the same in every worker and for all time."""
        text = f"{self.settings.salt}\0{reader}".encode(errors="surrogatepass")
        drawn = int.from_bytes(hashlib.blake2b(text, digest_size=8).digest())
        return drawn < self.settings.share * 2**64

    def model_beside(self, champion: LoadedModel) -> LoadedModel | None:
        """The model on trial; None while there is none, or it is the champion itself."""
        model = self.slot.current
        return None if model is None or model.label == champion.label else model


class ReadersModels:
    """
    Hands out models: the champion, or for some readers what is on trial.

    Args:
        champion: Answers everybody else, and everybody while nothing is on trial.
        trial: None costs nothing.
        shadow: What compares, where what is on trial is to answer nobody.
    """

    def __init__(
        self, champion: ModelSlot, trial: Trial | None = None, shadow: "Shadow | None" = None
    ) -> None:
        self._champion = champion
        self._trial = trial
        self._shadow = shadow

    def loaded(self) -> LoadedModel:
        """
        The champion.

        Raises:
            NoModelError: none is loaded.
        """
        return self._champion.loaded()

    def loaded_for(self, reader: str) -> LoadedModel:
        """
        The model that answers a reader.

        Raises:
            NoModelError: there is no champion, whether or not something is on trial.
        """
        champion = self._champion.loaded()
        other = self._on_trial_for(reader, champion)
        if other is None:
            return champion
        if self._shadow is None:
            return other
        self._shadow.compare(reader, champion, other)
        return champion

    def current_for(self, reader: str | None) -> LoadedModel | None:
        """The model that would answer a reader, or whoever asks for nobody; nothing is compared."""
        champion = self._champion.current
        if champion is None or reader is None or self._shadow is not None:
            return champion
        return self._on_trial_for(reader, champion) or champion

    def _on_trial_for(self, reader: str, champion: LoadedModel) -> LoadedModel | None:
        if self._trial is None or not self._trial.draws(reader):
            return None
        return self._trial.model_beside(champion)

    def stop(self) -> None:
        """Leave out comparisons that wait."""
        if self._shadow is not None:
            self._shadow.stop()


class Shadow:
    """
    Compares lists of two models, one reader after the other, in a thread of its own.

    Args:
        counted: Comparisons by what became of them.
        overlaps: What they found, by the versions compared.
    """

    def __init__(self, counted: Counter, overlaps: Histogram) -> None:
        self._counted = counted
        self._overlaps = overlaps
        self._thread = ThreadPoolExecutor(1, "shadow")
        self._places = threading.BoundedSemaphore(MAX_WAITING)

    def compare(self, reader: str, champion: LoadedModel, other: LoadedModel) -> None:
        """Note soon how far the lists of a reader agree."""
        if not self._places.acquire(blocking=False):
            self._counted.labels("left_out").inc()
            return
        future = self._thread.submit(_shared, reader, champion, other)
        versions = str(champion.number), str(other.number)
        future.add_done_callback(lambda done: self._note(done, *versions))

    def stop(self) -> None:
        """Compare nothing more."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _note(self, done: Future[float], champion: str, version: str) -> None:
        self._places.release()
        if done.cancelled():
            return
        if (error := done.exception()) is not None:  # whatever it is, readers do not meet it
            self._counted.labels("failed").inc()
            log.warning("shadow_failed", version=version, reason=repr(error))
            return
        self._counted.labels("compared").inc()
        self._overlaps.labels(champion, version).observe(done.result())


def overlap(one: set[str], other: set[str]) -> float:
    """Books that two lists share, of those that the longer one has; 1 where both are empty."""
    longest = max(len(one), len(other))
    return len(one & other) / longest if longest else 1.0


def _shared(reader: str, champion: LoadedModel, other: LoadedModel) -> float:
    return overlap(_books(champion, reader), _books(other, reader))


def _books(model: LoadedModel, reader: str) -> set[str]:
    answer = model.bundle.recommend(reader, LENGTH, explain=False)
    return {str(item.book_id) for item in answer.items}
