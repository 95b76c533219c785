"""The ways to an access token: a password, a client's secret, a refresh token."""

from dataclasses import dataclass

import structlog

from pipelines.credentials.api_keys import ApiKey
from pipelines.errors import CacheUnavailableError, GrantError
from pipelines.storage.accounts import KeyRepository, User
from serving.security.accounts import Accounts
from serving.security.principal import Principal
from serving.security.sessions import RefreshToken, Sessions
from serving.security.tokens import AccessTokens

log = structlog.get_logger()


@dataclass(frozen=True)
class Granted:
    """An access token, and what continues it, if anything does."""

    access_token: str
    principal: Principal
    refresh_token: str | None = None


class Grants:
    """
    Gives tokens to those who prove who they are.

    Every method raises StorageError while accounts are out of reach, and GrantError otherwise.
    """

    def __init__(self, accounts: Accounts, tokens: AccessTokens, sessions: Sessions) -> None:
        self._accounts = accounts
        self._tokens = tokens
        self._sessions = sessions

    async def password(self, name: str, password: str) -> Granted:
        """For a person; without a refresh token where Redis is away."""
        user = await self._accounts.with_password(name, password)
        if user is None:
            raise GrantError("invalid_grant", "name or password is wrong")
        principal = Principal("user", user.name, user.roles)
        try:
            refresh = await self._sessions.begin(user.name)
        except CacheUnavailableError:  # logged where it happened
            return Granted(self._tokens.issue(principal), principal)
        return Granted(self._tokens.issue(principal, refresh.session), principal, refresh.text)

    async def client_credentials(self, client_id: str, client_secret: str) -> Granted:
        """For a program, whose client id and secret are the two parts of an API key."""
        principal = await self.of_key(ApiKey(client_id, client_secret))
        if principal is None:
            raise GrantError("invalid_client", "client id or secret is wrong, or the key is over")
        return Granted(self._tokens.issue(principal), principal)

    async def refresh(self, text: str) -> Granted:
        """
        The next access token of a session, with the roles that the account has now.

        Raises:
            CacheUnavailableError: sessions are out of reach.
        """
        token = RefreshToken.parse(text)
        # Before the token is spent: it must be good once more where the database is away.
        user = await self._owner(token.session) if token is not None else None
        following = await self._sessions.rotate(token) if token is not None else None
        if following is None or user is None:
            raise GrantError("invalid_grant", "this session is over: log in again")
        principal = Principal("user", user.name, user.roles)
        return Granted(self._tokens.issue(principal, following.session), principal, following.text)

    async def end(self, text: str) -> None:
        """End the session that a refresh token belongs to, whether or not there is one."""
        token = RefreshToken.parse(text)
        if token is not None and await self._sessions.rotate(token) is not None:
            await self._sessions.end(token.session)

    async def _owner(self, session: str) -> User | None:
        name = await self._sessions.name_of(session)
        user = await self._accounts.user(name) if name is not None else None
        return None if user is None or user.disabled else user

    async def of_key(self, key: ApiKey) -> Principal | None:
        """Whose key this is; None if it opens nothing."""
        kept = await self._accounts.read(lambda s: KeyRepository(s).find(key.key_id))
        if kept is None or not key.is_of(kept.secret_hash) or not kept.opens:
            return None
        return Principal("key", kept.key_id, kept.roles)
