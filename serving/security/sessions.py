"""
Logins that last: refresh tokens, kept hashed in Redis.

A session is one login. Each use of its refresh token gives the next one and ends the last; whoever
comes with one that was used before, the owner or a thief, ends the session for both.
"""

import hashlib
import secrets
from typing import Any, NamedTuple, Protocol, cast

from pipelines.errors import CacheUnavailableError
from pipelines.storage.cache_keys import session_key, session_of, sessions_key
from serving.caching.redis_guard import GuardedRedis

_BEGIN = """
redis.call('HSET', KEYS[1], 'name', ARGV[1], 'current', ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[3])
redis.call('SADD', KEYS[2], ARGV[4])
redis.call('EXPIRE', KEYS[2], ARGV[3])
"""
# One step, so that of two who come with the same token only one is served.
_ROTATE = """
local current = redis.call('HGET', KEYS[1], 'current')
if not current then return false end
if current ~= ARGV[1] then redis.call('DEL', KEYS[1]) return false end
redis.call('HSET', KEYS[1], 'current', ARGV[2])
return 1
"""
_END_ALL = """
local ended = 0
for _, key in ipairs(redis.call('SMEMBERS', KEYS[1])) do ended = ended + redis.call('DEL', key) end
redis.call('DEL', KEYS[1])
return ended
"""


class RefreshToken(NamedTuple):
    """A refresh token as its holder has it."""

    session: str
    secret: str

    @classmethod
    def parse(cls, text: str) -> "RefreshToken | None":
        """The token that `text` spells; None if it spells none."""
        session, dot, secret = text.partition(".")
        return cls(session, secret) if dot and session and secret and len(text) < 200 else None

    @property
    def text(self) -> str:
        """How it is written down."""
        return f"{self.session}.{self.secret}"

    def next(self) -> "RefreshToken":
        """Another one of the same session."""
        return RefreshToken(self.session, secrets.token_urlsafe(32))

    @property
    def hash(self) -> str:
        """What is kept of it."""
        return hashlib.sha256(self.secret.encode()).hexdigest()


class Sessions(Protocol):
    """What the service needs; every method may raise CacheUnavailableError."""

    async def begin(self, name: str) -> RefreshToken:
        """A new session of an account."""

    async def rotate(self, token: RefreshToken) -> RefreshToken | None:
        """The next token for this one; None if the session has ended, or ends by this."""

    async def name_of(self, session: str) -> str | None:
        """Whose session it is; None if it has ended."""

    async def end(self, session: str) -> None:
        """End a session; nothing happens if it has ended."""

    async def end_all(self, name: str) -> int:
        """End every session of an account; how many there were."""

    async def close(self) -> None:
        """Give up all connections."""


class NoSessions:
    """Where no Redis is configured: access tokens only."""

    async def begin(self, name: str) -> RefreshToken:  # noqa: ARG002 - the protocol's names, here and below
        raise CacheUnavailableError("no Redis is configured: set BOOKREC_REDIS_URL")

    async def rotate(self, token: RefreshToken) -> RefreshToken | None:  # noqa: ARG002
        raise CacheUnavailableError("no Redis is configured: set BOOKREC_REDIS_URL")

    async def name_of(self, session: str) -> str | None:  # noqa: ARG002
        raise CacheUnavailableError("no Redis is configured: set BOOKREC_REDIS_URL")

    async def end(self, session: str) -> None:
        pass

    async def end_all(self, name: str) -> int:  # noqa: ARG002
        return 0

    async def close(self) -> None:
        pass


class RedisSessions:
    """Sessions in Redis, each for `seconds` from its login on."""

    def __init__(self, guard: GuardedRedis, seconds: int) -> None:
        self._guard = guard
        self._seconds = seconds

    async def begin(self, name: str) -> RefreshToken:
        token = RefreshToken(session_of(name, secrets.token_urlsafe(16)), secrets.token_urlsafe(32))
        key = session_key(token.session)
        keys = [key, sessions_key(name)]
        await self._run(_BEGIN, keys, name, token.hash, self._seconds, key)
        return token

    async def rotate(self, token: RefreshToken) -> RefreshToken | None:
        following = token.next()
        key = session_key(token.session)
        goes_on = await self._run(_ROTATE, [key], token.hash, following.hash)
        return following if goes_on else None

    async def name_of(self, session: str) -> str | None:
        client = cast("Any", self._guard.client)
        name = await self._guard.ask(lambda: client.hget(session_key(session), "name"))
        return None if name is None else name.decode()

    async def end(self, session: str) -> None:
        await self._guard.ask(lambda: self._guard.client.delete(session_key(session)))

    async def end_all(self, name: str) -> int:
        return int(await self._run(_END_ALL, [sessions_key(name)]))

    async def close(self) -> None:
        await self._guard.close()

    async def _run(self, script: str, keys: list[str], *values: str | int) -> Any:
        client = cast("Any", self._guard.client)  # its types want text, and take numbers
        return await self._guard.ask(lambda: client.eval(script, len(keys), *keys, *values))
