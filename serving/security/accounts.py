"""
Accounts and keys as the service reaches them: PostgreSQL, and argon2 in threads of its own.

It may not take threads from those who compute recommendations.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import structlog
from sqlalchemy.orm import Session

from pipelines.credentials.passwords import hash_password, is_password
from pipelines.credentials.roles import Role
from pipelines.errors import StorageError
from pipelines.service_settings import SecuritySettings
from pipelines.storage.accounts import User, UserRepository
from pipelines.storage.audit import Act, audited, note
from serving.database import Database

log = structlog.get_logger()
T = TypeVar("T")

HASHING_THREADS = 2
"""Each hash takes a core for 20 ms and 19 MiB; more at once would starve recommendations."""


class Accounts:
    """
    Reads and changes accounts and keys.

    Every method raises StorageError while the database is away.

    Args:
        database: Where they are kept.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._hashing = ThreadPoolExecutor(HASHING_THREADS, "passwords")

    async def with_password(self, name: str, password: str) -> User | None:
        """The account that has this name and password; takes as long where there is none."""
        user = await self.user(name)
        hashed = user.password_hash if user is not None else None
        matches = await self._hashed(lambda: is_password(password, hashed))
        return user if matches and user is not None and not user.disabled else None

    async def user(self, name: str) -> User | None:
        """The account of that name."""
        return await self.read(lambda session: UserRepository(session).find(name))

    async def hash(self, password: str) -> str:
        """What to keep of a password."""
        return await self._hashed(lambda: hash_password(password))

    async def read(self, work: Callable[[Session], T]) -> T:
        """What `work` finds in a transaction of its own."""
        return await self._database.within(work)

    async def act(self, act: Act, work: Callable[[Session], T]) -> T:
        """Do what an administrator asked for, and put it on record in the same transaction."""
        return await self._database.run(lambda url: _recorded(url, act, work))

    async def note(self, act: Act, outcome: str) -> None:
        """Put on record what changed nothing in the database; a line in the log at least."""
        try:
            await self._database.run(lambda url: note(url, act, outcome))
        except StorageError as error:
            log.warning("act_not_recorded", reason=str(error), action=act.action, actor=act.actor)

    async def keep_trying_first_admin(self, settings: SecuritySettings) -> None:
        """Make the first admin as soon as the database answers, if settings name one."""
        if settings.first_admin_password is None:
            return
        password = settings.first_admin_password.get_secret_value()
        hashed = await self.hash(password)
        while True:
            try:
                await self.read(lambda s: _make_first_admin(s, settings.first_admin_name, hashed))
            except StorageError as error:
                log.warning("first_admin_delayed", reason=str(error))
                await asyncio.sleep(5)
            else:
                return

    def close(self) -> None:
        """Let the threads end."""
        self._hashing.shutdown(wait=False, cancel_futures=True)

    async def _hashed(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._hashing, work)


def _recorded(url: str, act: Act, work: Callable[[Session], T]) -> T:
    with audited(url, act) as session:
        return work(session)


def _make_first_admin(session: Session, name: str, password_hash: str) -> None:
    users = UserRepository(session)
    if any(Role.ADMIN in user.roles and not user.disabled for user in users.all()):
        return
    if users.add_if_new(name, password_hash, [Role.ADMIN]):
        log.info("first_admin_made", name=name)
    else:
        log.warning("first_admin_not_made", reason="the name is taken", name=name)
