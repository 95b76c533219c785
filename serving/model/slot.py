"""The one place that holds a model in service, and the thread that follows its alias."""

import queue
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

import structlog

from pipelines.errors import ArtifactError, NoModelError, RegistryError
from pipelines.models.bundle import ModelBundle
from pipelines.models.model_check import checked
from pipelines.registry import CHAMPION, CONTENT, ModelVersion, Registry
from serving.model.last import LastModel

log = structlog.get_logger()

RETRY_SECONDS = 60.0
"""A refused version is tried again after this long, in case its files were still on their way."""

PATIENCE_SECONDS = 5.0
"""A registry that has not answered for longer is named as out of reach."""


@dataclass(frozen=True)
class LoadedModel:
    """A bundle and the version it was loaded from."""

    bundle: ModelBundle
    version: ModelVersion
    loaded_at: datetime

    @property
    def number(self) -> int:
        """The version's number, as it stands in answers."""
        return self.version.version

    @property
    def library(self) -> str:
        """The library whose readers it knows."""
        return self.version.tags.get("library", "")

    @cached_property
    def label(self) -> str:
        """
        The version as it stands in cache keys: its number and a part of its content's hash.

        Numbers alone would meet where registries share a Redis, or one was begun anew.
        """
        return f"{self.number}-{self.version.tags[CONTENT][:12]}"


@dataclass(frozen=True)
class Refusal:
    """Why a version is not in service; `version` is None where the registry did not answer."""

    version: int | None
    reason: str
    at: datetime
    is_broken: bool = False
    """Whether its files are not as they were, or it does not answer as it did."""


class SlotObserver:
    """Is told what happens to a slot, after it happened and in the slot's thread."""

    def loaded(self, model: LoadedModel) -> None:
        """Another model is in service, so what was kept of the one before is of no use."""

    def refused(self, refusal: Refusal, in_service: int | None) -> None:
        """A champion cannot be served; the version that is goes on, if there is one."""

    def looked(self, slot: "ModelSlot") -> None:
        """The slot has asked which version it should hold, and done what it could."""


@dataclass(frozen=True)
class _Look:
    """One look at the registry, and who waits for its end: nobody where its time had come."""

    retry_refused: bool = False
    done: "Future[None]" = field(default_factory=Future)


class ModelSlot:
    """
    Holds the model in service.

    `current` is replaced as a whole and never changed, so a caller that takes it once answers from
    one model alone, whatever is promoted meanwhile. Only the thread of `poll` asks the registry,
    so one that hangs holds up nobody else.

    Args:
        registry: Says which version has the alias.
        alias: What to follow. The champion stays when nothing better can be had; what is followed
            under another alias is on trial, and leaves with the alias or when it is refused.
        model_cache: Where bundles of a remote registry are downloaded to.
        last: What a start begins with, until the registry has said what it is to be.
        load: Opens a bundle's folder.
        clock: Monotonic seconds.
        observers: Are told of each change, in this order.
    """

    def __init__(
        self,
        registry: Registry,
        model_cache: Path,
        *,
        alias: str = CHAMPION,
        last: LastModel | None = None,
        load: Callable[[Path], ModelBundle] = ModelBundle.load,
        clock: Callable[[], float] = time.monotonic,
        observers: Sequence[SlotObserver] = (),
    ) -> None:
        self.alias = alias
        self.registry = registry
        self._model_cache = model_cache
        self._last = last
        self._is_confirmed = False
        self._open = load
        self._clock = clock
        self._observers = observers
        self._looks: queue.SimpleQueue[_Look | None] = queue.SimpleQueue()
        self._asking_since: float | None = None
        self._retry_at = 0.0
        self.current: LoadedModel | None = None
        self.last_refusal: Refusal | None = None

    def loaded(self) -> LoadedModel:
        """
        The model in service.

        Raises:
            NoModelError: none is loaded, with the reason where one is known.
        """
        model = self.current
        if model is not None:
            return model
        if (trouble := self.trouble) is not None:
            raise NoModelError(f"no model could be loaded: {trouble}")
        raise NoModelError(f"no {self.alias} yet: run the pipeline first")

    @property
    def trouble(self) -> str | None:
        """Why the version that has the alias may not be in service; None while all is well."""
        since, refusal = self._asking_since, self.last_refusal
        if since is not None and (waited := self._clock() - since) > PATIENCE_SECONDS:
            return f"the registry has not answered for {waited:.0f} s"
        if refusal is None:
            return None
        if refusal.version is None:
            return refusal.reason
        return f"version {refusal.version} was refused: {refusal.reason}"

    def refresh(self, *, retry_refused: bool = False) -> bool:
        """
        Put the version that has the alias into service; tells whether another was loaded.

        Never raises for a version that cannot be had: a champion in service stays.

        Args:
            retry_refused: Try a version again that was refused a moment ago.
        """
        is_another = self._refreshed(retry_refused=retry_refused)
        for observer in self._observers:
            observer.looked(self)
        return is_another

    def _refreshed(self, *, retry_refused: bool) -> bool:
        try:
            wanted = self._wanted()
        except RegistryError as error:
            self._refuse(None, error)
            return False
        refusal = self.last_refusal
        if refusal is not None and (wanted is None or wanted.version != refusal.version):
            self.last_refusal = refusal = None
        if wanted is None:
            if self.alias != CHAMPION or not self._is_confirmed:
                self.current = None
            return False
        self._is_confirmed = True
        if self._is_in_service(wanted):
            return False
        if refusal is not None and not retry_refused and self._clock() < self._retry_at:
            return False
        return self._load(wanted)

    def poll(self, seconds: float) -> None:
        """Refresh now, every `seconds` and when asked to, until `stop`; the body of a thread."""
        self._resume()
        look: _Look | None = _Look()
        while look is not None:
            if look.done.set_running_or_notify_cancel():
                try:
                    self.refresh(retry_refused=look.retry_refused)
                except Exception:  # the edge of a thread that must outlive any defect
                    log.exception("model_poll_failed")
                look.done.set_result(None)
            try:
                look = self._looks.get(timeout=seconds)
            except queue.Empty:
                look = _Look()

    def look(self, *, retry_refused: bool = False) -> "Future[None]":
        """Have `poll` refresh as soon as it can; done when it has."""
        look = _Look(retry_refused)
        self._looks.put(look)
        return look.done

    def observe(self, observer: SlotObserver) -> None:
        """Tell one more of what happens, after the others."""
        self._observers = (*self._observers, observer)

    def stop(self) -> None:
        """Let `poll` return."""
        self._looks.put(None)

    def _resume(self) -> None:
        kept = self._last.recall() if self._last is not None else None
        if kept is None:
            return
        try:
            bundle = checked(self._open, kept.folder)
        except ArtifactError as error:  # the registry may have a better one
            log.warning("model_not_resumed", version=kept.version.version, reason=str(error))
            return
        self.current = LoadedModel(bundle, kept.version, datetime.now(UTC))
        log.info("model_resumed", version=kept.version.version, alias=self.alias)

    def _wanted(self) -> ModelVersion | None:
        self._asking_since = self._clock()
        try:
            return self.registry.by_alias(self.alias)
        finally:
            self._asking_since = None

    def _is_in_service(self, wanted: ModelVersion) -> bool:
        model = self.current
        if model is None:
            return False
        served = model.version
        # The content of a version changes when a reader is erased from it.
        content = served.tags.get(CONTENT), wanted.tags.get(CONTENT)
        if (served.version, served.run_id) != (wanted.version, wanted.run_id):
            return False
        if content[0] != content[1]:
            return False
        if served != wanted:  # its tags or aliases changed
            self.current = replace(model, version=wanted)
        return True

    def _load(self, wanted: ModelVersion) -> bool:
        started = self._clock()
        try:
            folder = self.registry.fetch(wanted.version, self._model_cache)
            bundle = checked(self._open, folder)
        except (RegistryError, ArtifactError) as error:
            self._retry_at = self._clock() + RETRY_SECONDS
            if self.alias != CHAMPION:  # a champion is still the best there is
                self.current = None
            self._refuse(wanted.version, error)
            return False
        self.current = loaded = LoadedModel(bundle, wanted, datetime.now(UTC))
        self.last_refusal = None
        if self._last is not None:
            self._last.remember(wanted, folder)
        log.info(
            "model_loaded",
            version=wanted.version,
            alias=self.alias,
            seconds=round(self._clock() - started, 3),
        )
        for observer in self._observers:
            observer.loaded(loaded)
        return True

    def _refuse(self, version: int | None, error: Exception) -> None:
        known = self.last_refusal
        if known is not None and (known.version, known.reason) == (version, str(error)):
            return
        is_broken = isinstance(error, ArtifactError)
        self.last_refusal = refusal = Refusal(version, str(error), datetime.now(UTC), is_broken)
        in_service = self.current.number if self.current is not None else None
        log.warning("model_refused", version=version, reason=str(error), in_service=in_service)
        for observer in self._observers:
            observer.refused(refusal, in_service)
