"""
Visitors without an account: what they have looked at, for as long as they keep looking.

A list in Redis a session, of lines as of feedback, under a hash of the token that opens it: who
reads Redis can open none. Nothing of it is stored anywhere else, nor learnt from.
"""

import hashlib
import secrets
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple, TypeVar, cast

from pipelines.errors import BrowsingEndedError, BrowsingUnavailableError, CacheUnavailableError
from pipelines.models.answers import Read
from pipelines.service_settings import BrowsingSettings
from pipelines.storage.cache_keys import browsing_key, browsing_pattern
from serving.caching.redis_guard import GuardedRedis
from serving.feedback.intake import refuse_off_scale
from serving.feedback.recent import line_of, read_lines
from serving.model.slot import ModelSlot
from serving.recommending.paging import unknown_books

T = TypeVar("T")

# One step, so that none of it brings back a session that was ended in between. The same again moves
# to the end, which may leave nothing for a moment, and so no time to live.
_REMEMBER = """
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
for place = 3, #ARGV do
  redis.call('LREM', KEYS[1], 0, ARGV[place])
  redis.call('RPUSH', KEYS[1], ARGV[place])
end
redis.call('LTRIM', KEYS[1], ARGV[1], -1)
redis.call('EXPIRE', KEYS[1], ARGV[2])
return 1
"""
_NOTHING_YET = b""
"""A list that is empty is none: what a session begins with."""


class Begun(NamedTuple):
    """A new session: what opens it, and what it may be called by anybody."""

    token: str
    name: str


class BrowsingSessions:
    """
    Sessions that whoever holds their token may use and end.

    Every method raises BrowsingUnavailableError while Redis is away; those that use a session raise
    BrowsingEndedError where it has ended.

    Args:
        guard: The Redis they lie in; None where none is configured.
        slot: Whose model says what the books are, and how readers rate.
    """

    def __init__(
        self, guard: GuardedRedis | None, slot: ModelSlot, settings: BrowsingSettings
    ) -> None:
        self._guard = guard
        self._slot = slot
        self._settings = settings

    @property
    def seconds(self) -> int:
        """How long a session lasts after it was used last."""
        return self._settings.seconds

    async def begin(self) -> Begun:
        """A new session that knows of nothing."""
        token = secrets.token_urlsafe(32)
        name = _name(token)

        async def begun(client: Any) -> None:
            pipeline = client.pipeline()  # a transaction: else a kill might leave it for ever
            pipeline.rpush(browsing_key(name), _NOTHING_YET)
            pipeline.expire(browsing_key(name), self.seconds)
            await pipeline.execute()

        await self._ask(begun)
        return Begun(token, name)

    async def remember(self, token: str, reads: Sequence[Read]) -> tuple[str, ...]:
        """
        Let a session know of books; gives those that are not in the catalogue, which are not kept.

        Raises:
            NoModelError: nobody knows which books there are.
            FeedbackError: a rating off the scale; nothing is remembered.
        """
        model = self._slot.loaded()
        refuse_off_scale(model, [read.rating for read in reads])
        unknown = unknown_books(model, [read.book_id for read in reads])
        left_out = frozenset(unknown)
        lines = [line_of(read) for read in reads if read.book_id not in left_out]
        key, most = browsing_key(_name(token)), self._settings.books
        if not await self._ask(
            lambda client: client.eval(_REMEMBER, 1, key, -most, self.seconds, *lines)
        ):
            raise BrowsingEndedError
        return unknown

    async def reads(self, token: str) -> Sequence[Read]:
        """What a session knows of, oldest first; it lives on."""
        key = browsing_key(_name(token))

        async def looked_at(client: Any) -> list[bytes]:
            pipeline = client.pipeline(transaction=False)
            pipeline.lrange(key, 0, -1)
            pipeline.expire(key, self.seconds)
            return cast("list[bytes]", (await pipeline.execute())[0])

        lines = await self._ask(looked_at)
        if not lines:
            raise BrowsingEndedError
        return read_lines(lines)

    async def end(self, token: str) -> None:
        """End a session; nothing happens if it has ended."""
        await self.revoke(_name(token))

    async def revoke(self, name: str) -> bool:
        """End the session of that name; False if there is none."""
        return bool(await self._ask(lambda client: client.delete(browsing_key(name))))

    async def revoke_all(self) -> int:
        """End all sessions; how many there were."""

        async def ended(client: Any) -> int:
            found = client.scan_iter(match=browsing_pattern(), count=1000)
            return sum([await client.delete(key) async for key in found])

        return await self._ask(ended)

    async def close(self) -> None:
        """Give up all connections."""
        if self._guard is not None:
            await self._guard.close()

    async def _ask(self, command: Callable[[Any], Awaitable[T]]) -> T:
        if self._guard is None:
            raise BrowsingUnavailableError("no Redis is configured: set BOOKREC_REDIS_URL")
        client = self._guard.client
        try:
            return await self._guard.ask(lambda: command(client))
        except CacheUnavailableError as error:
            raise BrowsingUnavailableError(str(error)) from error


def _name(token: str) -> str:
    """Half of a hash: it says nothing of the token, and two are never the same."""
    return hashlib.sha256(token.encode(errors="surrogatepass")).hexdigest()[:32]
