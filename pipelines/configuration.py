"""Every setting as it counts here: its value, without secrets, and where it comes from."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, SecretStr

from pipelines.data.sources.locations import without_password
from pipelines.settings import PREFIX, Settings
from pipelines.settings_sources import (
    SHIPPED,
    DotEnv,
    SecretFiles,
    Variables,
    read_environment,
    secret_files,
)

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
    origin: str
    """`environment`, `.env`, the path of a file, or `default`."""


def configured(settings: Settings) -> list[Configured]:
    """
    All settings, in the order in which they are declared.

    Args:
        settings: As this process has read them, from the same environment and folder.
    """
    given = _given(settings)
    return [
        Configured(PREFIX + "__".join(path).upper(), shown(value), _origin(path, given))
        for path, value in _leaves(settings)
    ]


def _given(settings: Settings) -> dict[str, Mapping[str, Any]]:
    """What each source sets, the first one counting most."""
    secrets = secret_files(settings.secrets_dir)
    given: dict[str, Mapping[str, Any]] = {
        "environment": Variables(Settings)(),
        ".env": DotEnv(Settings)(),
    }
    for variable, file in secrets.items():
        given[str(file)] = SecretFiles(Settings).told_by({variable: file})
    for folder in (settings.config_dir, SHIPPED):
        if folder is not None:
            file = folder / f"{settings.environment}.toml"
            given[str(file)] = read_environment(folder, settings.environment)
    return given


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


def _origin(path: Path, given: Mapping[str, Mapping[str, Any]]) -> str:
    return next((origin for origin, values in given.items() if _is_in(values, path)), "default")


def _is_in(values: Any, path: Path) -> bool:
    if not path:
        return True
    return isinstance(values, Mapping) and path[0] in values and _is_in(values[path[0]], path[1:])
