"""
Which features are on, asked through OpenFeature.

An environment variable decides before the file's section for this environment, that before the rest
of the file; whatever nobody decides is on. To ask a flag service instead, set its provider here.
"""

import json
import time
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import structlog
from openfeature import api
from openfeature.provider.in_memory_provider import InMemoryFlag, InMemoryProvider
from pydantic import ValidationError

from pipelines.errors import ConfigurationError, FeatureOffError
from pipelines.service_settings import FlagSettings
from pipelines.settings import Settings

log = structlog.get_logger()

Feature = Literal["reranking", "explanations", "ab_test"]

DOMAIN = "bookrec"
LOOK_SECONDS = 1.0
"""Between two looks at the file and the provider: an evaluation takes 70 µs, a request not many."""


class FlagFile(FlagSettings):
    """What a file of flags may hold."""

    development: FlagSettings = FlagSettings()
    staging: FlagSettings = FlagSettings()
    production: FlagSettings = FlagSettings()

    @classmethod
    def read(cls, path: Path) -> "FlagFile":
        """
        A file, TOML or JSON by its name.

        Raises:
            ConfigurationError: it is missing, malformed, or names a flag that there is not.
        """
        try:
            text = path.read_text()
            return cls.model_validate(
                json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
            )
        except (OSError, ValueError) as error:
            raise ConfigurationError(f"BOOKREC_FLAGS_FILE {path}: {_reason(error)}") from error


class Flags:
    """
    The features of this process; changes of the file show within a second.

    Args:
        settings: Name the file and the environment, and may decide flags themselves.
        clock: Monotonic seconds.

    Raises:
        ConfigurationError: the file cannot be read now; later the flags stay as they are.
    """

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._clock = clock
        self._client = api.get_client(DOMAIN)
        self._file_state = _state(settings.flags_file)
        self._provide()
        self._on = self._evaluated()
        self._look_at = clock() + LOOK_SECONDS

    def is_on(self, feature: Feature) -> bool:
        """Whether a feature is on."""
        if self._clock() >= self._look_at:
            self._look_at = self._clock() + LOOK_SECONDS
            self._look()
        return self._on[feature]

    def require(self, feature: Feature) -> None:
        """
        Go on only where a feature is on.

        Raises:
            FeatureOffError: it is not.
        """
        if not self.is_on(feature):
            raise FeatureOffError(feature)

    def _look(self) -> None:
        state = _state(self._settings.flags_file)
        if state != self._file_state:
            self._file_state = state
            try:
                self._provide()
            except ConfigurationError as error:
                log.warning("flags_unreadable", reason=str(error))
        before, self._on = self._on, self._evaluated()
        if self._on != before:
            log.info("flags_changed", **self._on)

    def _provide(self) -> None:
        flags = {name: _flag(on) for name, on in decided(self._settings).items()}
        api.set_provider_and_wait(InMemoryProvider(flags), DOMAIN)

    def _evaluated(self) -> dict[str, bool]:
        return {name: self._client.get_boolean_value(name, True) for name in _FEATURES}


_FEATURES = tuple(FlagSettings.model_fields)


def decided(settings: Settings) -> Mapping[str, bool]:
    """Each flag, from whoever decides it first."""
    file = FlagFile() if settings.flags_file is None else FlagFile.read(settings.flags_file)
    section: FlagSettings = getattr(file, settings.environment)
    found: dict[str, bool] = dict.fromkeys(_FEATURES, True)
    for source in (file, section, settings.flags):
        found |= source.model_dump(include=set(_FEATURES), exclude_none=True)
    return found


def _flag(on: bool) -> InMemoryFlag[Any]:
    return InMemoryFlag("on" if on else "off", {"on": True, "off": False})


def _state(path: Path | None) -> tuple[int, int] | None:
    """What changes when the file does; None while there is none."""
    try:
        found = path.stat() if path is not None else None
    except OSError:
        return None
    return None if found is None else (found.st_mtime_ns, found.st_size)


def _reason(error: Exception) -> str:
    if isinstance(error, ValidationError):
        return "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
    return str(error)
