"""The roles that an account or a key may have; `serving/security/roles.py` says what each may."""

from collections.abc import Iterable
from enum import StrEnum

from pipelines.errors import ConfigurationError


class Role(StrEnum):
    """Not a ladder: what a role may is listed, never implied."""

    READER = "reader"
    """A person, who may ask for their own data."""
    SERVICE = "service"
    """A program that asks for any reader: a shop, an app's backend."""
    CURATOR = "curator"
    """A person who looks after books and models."""
    ADMIN = "admin"
    """Whoever looks after the service, accounts and keys."""


def parse_roles(names: Iterable[str]) -> frozenset[Role]:
    """
    Roles by their names.

    Raises:
        ConfigurationError: there is no such role, or none was named.
    """
    try:
        roles = frozenset(map(Role, names))
    except ValueError as error:
        raise ConfigurationError(f"{error}: there are {', '.join(Role)}") from None
    if not roles:
        raise ConfigurationError(f"at least one role is needed: {', '.join(Role)}")
    return roles
