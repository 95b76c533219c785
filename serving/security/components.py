"""Security put together, as the gateway works with it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from starlette.types import Scope

from pipelines.service_settings import SecuritySettings
from pipelines.settings import Settings
from serving.caching.redis_guard import GuardedRedis
from serving.database import Database
from serving.security.accounts import Accounts
from serving.security.authenticator import Authenticator, address_of, is_loopback
from serving.security.grants import Grants
from serving.security.limits import Allowance, RateLimiter
from serving.security.policy import refuse_unsafe, signing_keys
from serving.security.principal import Principal
from serving.security.sessions import NoSessions, RedisSessions, Sessions
from serving.security.tokens import AccessTokens

LIMIT_TIMEOUT_SECONDS = 0.25
"""More than reads of the cache have: a count that is late is a count that is lost."""

SESSION_TIMEOUT_SECONDS = 1.0
"""More patience than on the request path: a login is rare, and waits for argon2 anyway."""

_POLICIES = {"anonymous": "anonymous", "local": "local", "user": "user"}


@dataclass(frozen=True)
class Security:
    """Everything that decides who may ask, and how often."""

    settings: SecuritySettings
    accounts: Accounts
    sessions: Sessions
    grants: Grants
    authenticator: Authenticator
    limiter: RateLimiter

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Make the first admin meanwhile; give everything up at the end."""
        admin = asyncio.create_task(self.accounts.keep_trying_first_admin(self.settings))
        try:
            yield
        finally:
            admin.cancel()
            await asyncio.gather(admin, return_exceptions=True)
            self.accounts.close()
            await self.sessions.close()
            await self.limiter.close()

    def is_trusted(self, host: str) -> bool:
        """Whether this service may be called by the name in a request's Host."""
        trusted = self.settings.trusted_hosts
        if not trusted:
            return True
        name = (host if host.endswith("]") else host.rpartition(":")[0] or host).lower()
        return any(
            name == pattern.lower()
            or (pattern.startswith("*.") and name.endswith(pattern[1:].lower()))
            for pattern in trusted
        )

    async def count(self, principal: Principal) -> Allowance:
        """Count one request of whoever asks."""
        return await self.limiter.spend(policy_of(principal), principal.subject)

    def count_held(self, principal: Principal) -> Allowance | None:
        """The same where a request is held for them; None, and nothing is counted, if none is."""
        return self.limiter.spend_held(policy_of(principal), principal.subject)

    async def count_refusal(self, scope: Scope) -> Allowance:
        """Count credentials that opened nothing, as an attempt to log in is counted."""
        return await self.limiter.spend("login", f"address:{address_of(scope)}")

    async def count_login(self, scope: Scope, name: str) -> Allowance:
        """Count an attempt to log in by address and by name; gives the narrower of the two."""
        by_address = await self.limiter.spend("login", f"address:{address_of(scope)}")
        if not by_address.allowed:
            return by_address
        by_name = await self.limiter.spend("login", f"name:{name}")
        return min(by_address, by_name, key=lambda a: (a.allowed, a.remaining))


def policy_of(principal: Principal) -> str:
    """The rate limit that holds for somebody."""
    return _POLICIES.get(principal.kind, "key")


def compose_security(settings: Settings, database: Database) -> Security:
    """
    What `settings` describe; connects to nothing yet.

    Raises:
        ConfigurationError: unsafe for the environment, or a malformed address.
    """
    refuse_unsafe(settings)
    chosen = settings.security
    accounts = Accounts(database)
    sessions = _sessions(settings)
    tokens = AccessTokens(chosen, lambda: signing_keys(settings))
    grants = Grants(accounts, tokens, sessions)
    authenticator = Authenticator(
        tokens,
        grants,
        sessions,
        admin_token=settings.api.admin_token,
        local_may_serve=settings.environment == "development" and _listens_here(settings),
        open_to_anyone=chosen.open_to_anyone,
    )
    limiter = RateLimiter(chosen.rate_limits, _guarded(settings, LIMIT_TIMEOUT_SECONDS))
    return Security(chosen, accounts, sessions, grants, authenticator, limiter)


def _listens_here(settings: Settings) -> bool:
    return settings.api.host == "localhost" or is_loopback(settings.api.host)


def _sessions(settings: Settings) -> Sessions:
    guard = _guarded(settings, SESSION_TIMEOUT_SECONDS)
    if guard is None:
        return NoSessions()
    return RedisSessions(guard, settings.security.refresh_token_seconds)


def _guarded(settings: Settings, timeout_seconds: float) -> GuardedRedis | None:
    if settings.redis_url is None:
        return None
    return GuardedRedis(settings.redis_url.get_secret_value(), timeout_seconds=timeout_seconds)
