"""Who sends a request, from its credentials."""

import hashlib
import ipaddress
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from functools import lru_cache

from pydantic import SecretStr
from starlette.datastructures import Headers
from starlette.types import Scope

from pipelines.credentials.api_keys import ApiKey
from pipelines.credentials.roles import Role
from pipelines.errors import CacheUnavailableError, GrantError
from serving.security.grants import Grants
from serving.security.principal import OPERATOR, Principal
from serving.security.sessions import Sessions
from serving.security.tokens import AccessTokens

REMEMBER_SECONDS = 60.0
"""How long a verified credential is believed unseen; what is revoked may open doors for so long."""

MAX_REMEMBERED = 10_000
_FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip")
_HERE = frozenset({"localhost", "127.0.0.1", "[::1]"})


class Authenticator:
    """
    Finds the principal of a request.

    Args:
        admin_token: Of the pipeline; None where there is none.
        local_may_serve: Whether callers on this machine need no credentials.
        open_to_anyone: Whether nobody does.
    """

    def __init__(
        self,
        tokens: AccessTokens,
        grants: Grants,
        sessions: Sessions,
        *,
        admin_token: SecretStr | None,
        local_may_serve: bool = False,
        open_to_anyone: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._tokens = tokens
        self._grants = grants
        self._sessions = sessions
        self._admin = admin_token.get_secret_value().encode() if admin_token is not None else None
        self._local_may_serve = local_may_serve
        self._open_to_anyone = open_to_anyone
        self._clock = clock
        self._remembered: OrderedDict[bytes, tuple[Principal, float]] = OrderedDict()

    async def principal(self, scope: Scope, headers: Headers) -> Principal:
        """
        Whoever sends this request.

        Raises:
            GrantError: there are credentials, and they open nothing.
            StorageError: they could not be looked up.
        """
        credential = _credential(headers)
        if credential is None:
            return self._unknown(scope, headers)
        digest = _digest(credential)
        if (known := self._known(digest)) is not None:
            return known
        principal, until = await self._verified(credential)
        self._remembered[digest] = principal, min(until, self._clock() + REMEMBER_SECONDS)
        self._remembered.move_to_end(digest)
        if len(self._remembered) > MAX_REMEMBERED:
            self._remembered.popitem(last=False)
        return principal

    def recalled(self, scope: Scope, headers: Headers) -> Principal | None:
        """
        Whoever sends this request; None where that has to be looked up.

        Raises:
            GrantError: there are credentials, of no kind that is taken.
        """
        credential = _credential(headers)
        if credential is None:
            return self._unknown(scope, headers)
        return self._known(_digest(credential))

    def _known(self, digest: bytes) -> Principal | None:
        known = self._remembered.get(digest)
        return known[0] if known is not None and self._clock() < known[1] else None

    async def _verified(self, credential: str) -> tuple[Principal, float]:
        """Who holds it, and until when at most."""
        if self._admin is not None and secrets.compare_digest(
            credential.encode("utf-8", "surrogateescape"), self._admin
        ):
            return OPERATOR, float("inf")
        if (key := ApiKey.parse(credential)) is not None:
            holder = await self._grants.of_key(key)
            if holder is None:
                raise GrantError("invalid_token", "this key opens nothing")
            return holder, float("inf")
        token = self._tokens.verify(credential)
        if token is None or not await self._is_alive(token.session):
            raise GrantError("invalid_token", "this token is not valid, or no longer")
        return token.principal, token.expires_at

    async def _is_alive(self, session: str | None) -> bool:
        if session is None:
            return True
        try:
            return await self._sessions.name_of(session) is not None
        except CacheUnavailableError:  # the token is short-lived: it is enough by itself
            return True

    def _unknown(self, scope: Scope, headers: Headers) -> Principal:
        if self._open_to_anyone or (self._local_may_serve and _is_local(scope, headers)):
            return _local(address_of(scope))
        return _anonymous(address_of(scope))


@lru_cache(4096)
def _local(address: str) -> Principal:
    return Principal("local", address, frozenset({Role.SERVICE}))


@lru_cache(4096)
def _anonymous(address: str) -> Principal:
    return Principal("anonymous", address)


def _digest(credential: str) -> bytes:
    return hashlib.sha256(credential.encode("utf-8", "surrogateescape")).digest()


def _credential(headers: Headers) -> str | None:
    """
    Raises:
        GrantError: there is more than one, or one of a kind that is not taken.
    """
    given, key = headers.getlist("authorization"), headers.getlist("x-api-key")
    if not given and not key:
        return None
    if len(given) + len(key) > 1:
        raise GrantError("invalid_request", "one credential is needed, not several")
    if key:
        if ApiKey.parse(key[0]) is None:
            raise GrantError("invalid_token", "this key opens nothing")
        return key[0]
    scheme, _, credential = given[0].partition(" ")
    if scheme.lower() != "bearer" or not credential.strip():
        raise GrantError("invalid_request", "a token is needed: Authorization: Bearer …")
    return credential.strip()


def _is_local(scope: Scope, headers: Headers) -> bool:
    """
    Whether a program of this machine asks, for itself.

    A proxy here would pass on others' requests, and a page in a browser could be told that its own
    host's name means this machine.
    """
    client = scope.get("client")
    if client is None or any(name in headers for name in _FORWARDED):
        return False
    host = headers.get("host", "")
    name = host if host.endswith("]") else host.rpartition(":")[0] or host
    return name in _HERE and is_loopback(client[0])


@lru_cache(4096)
def is_loopback(address: str) -> bool:
    """Whether an address is this machine's own."""
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def address_of(scope: Scope) -> str:
    """Of the caller; of IPv6 the part that a provider gives to one customer."""
    client = scope.get("client")
    return _counted(client[0]) if client is not None else "unknown"


@lru_cache(4096)
def _counted(address: str) -> str:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if parsed.version == 4:
        return address
    return str(ipaddress.ip_network((parsed, 64), strict=False))
