"""Who may log in, and with which keys programs come."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from pipelines.credentials.api_keys import ApiKey
from pipelines.credentials.roles import Role
from pipelines.errors import AccountError
from pipelines.storage.tables import ApiKeyRow, UserRow

_NAME = re.compile(r"[^\x00-\x1f\x7f-\x9f\ud800-\udfff]{1,256}")


@dataclass(frozen=True)
class User:
    """An account; `password_hash` never leaves the service."""

    name: str
    roles: frozenset[Role]
    created_at: datetime
    disabled: bool
    password_hash: str


@dataclass(frozen=True)
class Key:
    """What is kept of an API key."""

    key_id: str
    name: str
    roles: frozenset[Role]
    created_at: datetime
    expires_at: datetime | None
    revoked: bool
    secret_hash: str

    @property
    def opens(self) -> bool:
        """Whether it is good at this moment."""
        return not self.revoked and (self.expires_at is None or datetime.now(UTC) < self.expires_at)


class UserRepository:
    """Accounts by name."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def add(self, name: str, password_hash: str, roles: Iterable[Role]) -> None:
        """
        A new account.

        Raises:
            AccountError: the name is taken, or none that can be had.
        """
        if not self.add_if_new(name, password_hash, roles):
            raise AccountError(f"there is a user {name!r} already")

    def add_if_new(self, name: str, password_hash: str, roles: Iterable[Role]) -> bool:
        """A new account unless the name is taken; tells whether it was new."""
        _check_name(name)
        values = {"name": name, "password_hash": password_hash, "roles": sorted(roles)}
        added = insert(UserRow).values(values).on_conflict_do_nothing().returning(UserRow.name)
        return self._session.scalar(added) is not None

    def find(self, name: str) -> User | None:
        """The account of that name."""
        row = self._session.get(UserRow, name) if _NAME.fullmatch(name) else None
        return None if row is None else _user(row)

    def all(self) -> list[User]:
        """Every account, by name."""
        return [_user(row) for row in self._session.scalars(select(UserRow).order_by(UserRow.name))]

    def change(
        self,
        name: str,
        *,
        roles: Iterable[Role] | None = None,
        password_hash: str | None = None,
        disabled: bool | None = None,
    ) -> None:
        """
        Change what is given, and nothing else.

        Raises:
            AccountError: there is no such account.
        """
        row = self._row(name)
        if roles is not None:
            row.roles = sorted(roles)
        if password_hash is not None:
            row.password_hash = password_hash
        if disabled is not None:
            row.disabled_at = func.now() if disabled else None

    def remove(self, name: str) -> None:
        """
        Delete an account; the record of what was done with it stays.

        Raises:
            AccountError: there is no such account.
        """
        self._session.delete(self._row(name))

    def _row(self, name: str) -> UserRow:
        row = self._session.get(UserRow, name) if _NAME.fullmatch(name) else None
        if row is None:
            raise AccountError(f"there is no user {name!r}", known=False)
        return row


class KeyRepository:
    """API keys by their id."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def add(
        self, key: ApiKey, name: str, roles: Iterable[Role], expires_at: datetime | None = None
    ) -> None:
        """Keep a new key's hash."""
        _check_name(name)
        self._session.add(
            ApiKeyRow(
                key_id=key.key_id,
                secret_hash=key.hash,
                name=name,
                roles=sorted(roles),
                expires_at=expires_at,
            )
        )

    def find(self, key_id: str) -> Key | None:
        """The key of that id, whether or not it still opens anything."""
        row = self._session.get(ApiKeyRow, key_id) if _NAME.fullmatch(key_id) else None
        return None if row is None else _key(row)

    def all(self) -> list[Key]:
        """Every key, newest first."""
        rows = self._session.scalars(select(ApiKeyRow).order_by(ApiKeyRow.created_at.desc()))
        return [_key(row) for row in rows]

    def revoke(self, key_id: str) -> None:
        """
        Let a key open nothing any more, for ever.

        Raises:
            AccountError: there is no such key.
        """
        row = self._session.get(ApiKeyRow, key_id) if _NAME.fullmatch(key_id) else None
        if row is None:
            raise AccountError(f"there is no key {key_id!r}", known=False)
        row.revoked_at = row.revoked_at or func.now()


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name) or name != name.strip():
        raise AccountError("a name has 1 to 256 characters, none of them control characters")


def _user(row: UserRow) -> User:
    roles = frozenset(map(Role, row.roles))
    return User(row.name, roles, row.created_at, row.disabled_at is not None, row.password_hash)


def _key(row: ApiKeyRow) -> Key:
    return Key(
        row.key_id,
        row.name,
        frozenset(map(Role, row.roles)),
        row.created_at,
        row.expires_at,
        row.revoked_at is not None,
        row.secret_hash,
    )
