"""Every setting as it counts here: its value, without secrets, and where it comes from."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, SecretStr
from pydantic_settings import DotEnvSettingsSource, EnvSettingsSource

from pipelines.data.sources.locations import without_password
from pipelines.settings import PREFIX, Settings

Origin = Literal["environment", ".env", "default"]
Path = tuple[str, ...]

MASK = "**********"
_TELLS_A_SECRET = re.compile("password|secret|token|credential", re.IGNORECASE)
"""Of keys within a setting that is a table, such as the options of a source."""


@dataclass(frozen=True)
class Configured:
    """One setting, by the name of its variable."""

    variable: str
    value: Any
    """JSON-able; of secrets only whether there is one."""
    origin: Origin


def configured(settings: Settings) -> list[Configured]:
    """
    All settings, in the order in which they are declared.

    Args:
        settings: As this process has read them, from the same environment and folder.
    """
    given: dict[Origin, Mapping[str, Any]] = {
        "environment": EnvSettingsSource(Settings)(),
        ".env": DotEnvSettingsSource(Settings)(),
    }
    return [
        Configured(PREFIX + "__".join(path).upper(), shown(value), _origin(path, given))
        for path, value in _leaves(settings)
    ]


def shown(value: Any) -> Any:
    """A value as it may be seen: secrets masked, also within tables and addresses."""
    if isinstance(value, SecretStr):
        return MASK if value.get_secret_value() else ""
    if isinstance(value, Mapping):
        return {
            key: MASK if _TELLS_A_SECRET.search(str(key)) else shown(item)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple | set | frozenset):
        return [shown(item) for item in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    text = str(value)
    return without_password(text) if "://" in text else text


def _leaves(model: BaseModel, above: Path = ()) -> Iterator[tuple[Path, Any]]:
    for name in type(model).model_fields:
        value, path = getattr(model, name), (*above, name)
        if isinstance(value, BaseModel):
            yield from _leaves(value, path)
        else:
            yield path, value


def _origin(path: Path, given: Mapping[Origin, Mapping[str, Any]]) -> Origin:
    return next((origin for origin, values in given.items() if _is_in(values, path)), "default")


def _is_in(values: Any, path: Path) -> bool:
    if not path:
        return True
    return isinstance(values, Mapping) and path[0] in values and _is_in(values[path[0]], path[1:])
