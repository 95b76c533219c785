"""Accounts, keys and the record of what administrators do."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Path, Query, status
from sqlalchemy.orm import Session

from pipelines.credentials.api_keys import ApiKey
from pipelines.credentials.passwords import refuse_weak
from pipelines.errors import CacheUnavailableError
from pipelines.storage.accounts import KeyRepository, UserRepository
from pipelines.storage.audit import AuditLog
from serving.bootstrap import Components
from serving.gateway.account_schemas import (
    Account,
    AccountChange,
    AuditEntryReport,
    KeyReport,
    NewAccount,
    NewKey,
    Password,
    ShownKey,
)
from serving.gateway.deps import AccountName, ActOf, Parts
from serving.gateway.errors import described

router = APIRouter(prefix="/admin", tags=["admin"], responses=described(422, 503))


@router.get("/users", summary="Accounts")
async def users(parts: Parts) -> list[Account]:
    """Everybody who may log in, and everybody who may no longer."""
    found = await parts.security.accounts.read(lambda s: UserRepository(s).all())
    return [Account.of(user) for user in found]


@router.post(
    "/users",
    summary="Make an account",
    status_code=status.HTTP_201_CREATED,
    responses=described(409),
)
async def add_user(asked: NewAccount, parts: Parts, act_of: ActOf) -> Account:
    """A reader's name is their id among the readers."""
    hashed = await _hashed(parts, asked.password)

    def add(session: Session) -> Account:
        users = UserRepository(session)
        users.add(asked.name, hashed, asked.roles)
        return _account(users, asked.name)

    what = f"user:{asked.name} {'+'.join(sorted(asked.roles))}"
    return await parts.security.accounts.act(act_of("user.add", what), add)


@router.patch("/users/{name}", summary="Change an account", responses=described(404, 409))
async def change_user(
    name: AccountName, asked: AccountChange, parts: Parts, act_of: ActOf
) -> Account:
    """Roles, password, or whether it may be used; its sessions end with any of that."""
    hashed = None if asked.password is None else await _hashed(parts, asked.password)

    def change(session: Session) -> Account:
        users = UserRepository(session)
        users.change(name, roles=asked.roles, password_hash=hashed, disabled=asked.disabled)
        session.flush()
        return _account(users, name)

    what = f"user:{name} {'+'.join(sorted(asked.model_fields_set))}"
    act = act_of("user.change", what)
    account = await parts.security.accounts.act(act, change)
    with suppress(CacheUnavailableError):  # each looks at the account before it goes on
        await parts.security.sessions.end_all(name)
    return account


@router.delete(
    "/users/{name}",
    summary="Delete an account",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=described(404),
)
async def remove_user(name: AccountName, parts: Parts, act_of: ActOf) -> None:
    """The record of what was done with it stays."""
    act = act_of("user.remove", f"user:{name}")
    await parts.security.accounts.act(act, lambda s: UserRepository(s).remove(name))
    with suppress(CacheUnavailableError):  # each looks at the account before it goes on
        await parts.security.sessions.end_all(name)


@router.delete(
    "/users/{name}/sessions",
    summary="End all sessions of an account",
    status_code=status.HTTP_204_NO_CONTENT,
)
async def end_sessions(name: AccountName, parts: Parts, act_of: ActOf) -> None:
    """Access tokens of these sessions end within a minute."""
    await parts.security.sessions.end_all(name)
    act = act_of("user.end_sessions", f"user:{name}")
    await parts.security.accounts.note(act, "done")


@router.get("/keys", summary="API keys")
async def keys(parts: Parts) -> list[KeyReport]:
    """What is known of every key; the keys themselves are nowhere."""
    found = await parts.security.accounts.read(lambda s: KeyRepository(s).all())
    return [KeyReport.of(key) for key in found]


@router.post(
    "/keys",
    summary="Make an API key",
    status_code=status.HTTP_201_CREATED,
    responses=described(409),
)
async def add_key(asked: NewKey, parts: Parts, act_of: ActOf) -> ShownKey:
    """The key is in this answer and never shown again."""
    key = ApiKey.new()
    over = None if asked.days is None else datetime.now(UTC) + timedelta(days=asked.days)
    act = act_of("key.add", f"key:{key.key_id} {'+'.join(sorted(asked.roles))}")
    await parts.security.accounts.act(
        act, lambda s: KeyRepository(s).add(key, asked.name, asked.roles, over)
    )
    return ShownKey.of(key)


@router.delete(
    "/keys/{key_id}",
    summary="Revoke an API key",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=described(404),
)
async def revoke_key(
    key_id: Annotated[str, Path(examples=["k7Qm2x"])],
    parts: Parts,
    act_of: ActOf,
) -> None:
    """It opens nothing after a minute at most; tokens made with it until they expire."""
    act = act_of("key.revoke", f"key:{key_id}")
    await parts.security.accounts.act(act, lambda s: KeyRepository(s).revoke(key_id))


@router.get("/audit", summary="What administrators did")
async def audit(
    parts: Parts, n: Annotated[int, Query(ge=1, le=1000)] = 100
) -> list[AuditEntryReport]:
    """Newest first."""
    found = await parts.security.accounts.read(lambda s: AuditLog(s).latest(n))
    return [AuditEntryReport.model_validate(entry) for entry in found]


async def _hashed(parts: Components, password: Password) -> str:
    plain = password.get_secret_value()
    refuse_weak(plain)
    return await parts.security.accounts.hash(plain)


def _account(users: UserRepository, name: str) -> Account:
    user = users.find(name)
    assert user is not None  # noqa: S101 - for mypy: it was there a moment ago
    return Account.of(user)
