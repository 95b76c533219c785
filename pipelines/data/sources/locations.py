"""What a run is pointed at, as given by whoever starts it: a location and options."""

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path

from pipelines.errors import ConfigurationError

# A password may hold any sign, also those that it should not; a port is none.
_PASSWORD = re.compile(r"^([\w+.-]+://[^:@/?]*):(?!\d+(?:[/?]|$)).*@", re.DOTALL)
_NAME = re.compile(r"[\w.-]+(/[\w.-]+)*", re.ASCII)
_SECRET = re.compile(r"(?<=[?&])(?:password|sslpassword|secret|token|key)=[^&]*&?", re.IGNORECASE)


def is_url(location: str) -> bool:
    """Whether this is an address rather than a path."""
    return "://" in location


def absolute(location: str) -> str:
    """The same wherever a later task is run: a path from the root; an address as it is."""
    return location if is_url(location) else str(Path(location).absolute())


def without_password(location: str) -> str:
    """An address without its password, fit to be recorded and shown; a path as it is."""
    if not is_url(location) or not (_PASSWORD.search(location) or _SECRET.search(location)):
        return location
    return _SECRET.sub("", _PASSWORD.sub(r"\1@", location)).rstrip("?&")


def short_name(location: str) -> str:
    """The last part of a path or address, made distinct from others of the same name elsewhere."""
    whole = absolute(without_password(location))
    digest = hashlib.sha256(whole.encode()).hexdigest()
    return f"{Path(whole.partition('?')[0]).name}-{digest[:8]}"


def library_name(given: str) -> str:
    """
    The name of a library, as given.

    Raises:
        ConfigurationError: it has other signs than letters, digits and `. _ - /`.
    """
    if not _NAME.fullmatch(given):
        raise ConfigurationError(
            f"{given!r} cannot name a library: use letters, digits, dots, underscores and hyphens, "
            "with slashes between parts, like shop/ratings"
        )
    return given


def parsed_options(given: Iterable[str]) -> dict[str, str]:
    """
    `delimiter=;` and the like as a table; the last one of a name counts.

    Raises:
        ConfigurationError: one has no name or no `=`.
    """
    pairs = [option.partition("=") for option in given]
    for name, sign, value in pairs:
        if not name or not sign:
            raise ConfigurationError(
                f"source option {name or value!r} is not of the form name=value, like delimiter=;"
            )
    return {name: value for name, _, value in pairs}
