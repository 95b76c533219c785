"""
Answers that this worker gave a moment ago, given again before the application is asked.

Pure ASGI, within the guard: who asks is known and counted, and the table of roles holds here too.
"""

from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.bootstrap import Components
from serving.caching.generations import EVERYBODY
from serving.gateway.edge import READERS, reader_of
from serving.gateway.schemas import new_id
from serving.model.slot import LoadedModel
from serving.security.principal import Principal
from serving.security.roles import may

REMEMBERED = (READERS, "/api/v1/books/", "/api/v1/genres")
"""What below these is asked by GET follows from the question, the model and the reader alone."""

_ID = b'{"recommendation_id":"'
_ID_LENGTH = 36
_MODEL, _CACHE = b'"source":"model"', b'"source":"cache"'
JSON = (b"content-type", b"application/json")


Header = tuple[bytes, bytes]


@dataclass(frozen=True, slots=True)
class Kept:
    """
    An answer, and the template of its path.

    A list is kept without its id, which each answer has anew, and with the source that it is told
    under; `source` is None of any other answer.
    """

    body: bytes
    route: str
    source: str | None = None

    @classmethod
    def of(cls, body: bytes, route: str, version: int) -> "Kept | None":
        """What to keep of an answer; nothing of one from another version than this."""
        if not body.startswith(_ID):
            return cls(body, route)
        rest = body[len(_ID) + _ID_LENGTH :]
        if not rest.startswith(b'","model_version":%d,' % version):
            return None
        rest = rest.replace(_MODEL, _CACHE, 1)
        return cls(rest, route, "cache" if _CACHE in rest[:120] else "fallback")

    def may_be_told(self, principal: Principal, user_id: str | None) -> bool:
        """Whether somebody may have it; the reader whom the path names is `user_id`."""
        return may(principal, f"GET {self.route}", user_id)


class Question(NamedTuple):
    """What is asked, as far as it decides what is answered, and the parts that answer."""

    parts: Components
    model: LoadedModel
    user_id: str | None
    generation: int
    key: Hashable

    @classmethod
    def of(cls, scope: Scope, parts: Components) -> "Question | None":
        """None where no model would answer, or what is asked is not remembered."""
        path = scope["path"]
        if scope["method"] != "GET" or not path.startswith(REMEMBERED):
            return None
        user_id = reader_of(path)
        model = parts.models.current_for(user_id)
        if model is None:
            return None
        generation = EVERYBODY if user_id is None else parts.generations.of(user_id)
        return cls(parts, model, user_id, generation, (model.label, path, scope["query_string"]))

    @property
    def remembered(self) -> Kept | None:
        """The answer that was kept."""
        return self.parts.local_cache.get(self.key, self.generation)

    def given(self, kept: Kept) -> bytes:
        """The body that was kept, counted, and a list under another id."""
        metrics, body = self.parts.metrics, kept.body
        if kept.source is not None:
            body = _ID + new_id() + body
            metrics.recommendations.labels(kept.source, str(self.model.number)).inc()
        metrics.cache_operations.labels("local").inc()
        return body

    def remember(self, kept: Kept | None) -> None:
        """Keep an answer, if there is anything to keep of it."""
        if kept is not None:
            self.parts.local_cache.put(self.key, self.generation, kept, len(kept.body))


@dataclass(frozen=True, slots=True)
class Route:
    """As much of a route as is looked at behind the application."""

    path: str


class Remembering:
    """Keeps what the application answers to some questions, and answers them again."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        asked = None
        if scope["type"] == "http":
            asked = Question.of(scope, scope["app"].state.components)
        if asked is None:
            await self._app(scope, receive, send)
            return
        kept = asked.remembered
        if kept is not None and kept.may_be_told(scope["state"]["principal"], asked.user_id):
            scope["route"] = Route(kept.route)
            await send_document(asked.given(kept), send)
            return
        asked.parts.metrics.cache_operations.labels("local_miss").inc()
        listening = _Listening(send, asked.model.number)
        await self._app(scope, receive, listening.send)
        asked.remember(listening.answer(scope))


class _Listening:
    """Hears what the application answers, if it does so at once and with a document."""

    def __init__(self, send: Send, version: int) -> None:
        self._send = send
        self._version = version
        self._is_document = False
        self._body: bytes | None = None

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._is_document = message["status"] == 200 and JSON in message["headers"]
        elif self._is_document and not message.get("more_body", False):
            self._body = message.get("body", b"")
        else:
            self._is_document = False
        await self._send(message)

    def answer(self, scope: Scope) -> Kept | None:
        """What to keep of it; nothing of an answer from another model than was in service."""
        body = self._body
        return None if body is None else Kept.of(body, scope["route"].path, self._version)


async def send_document(body: bytes, send: Send, more: Iterable[Header] = ()) -> None:
    """Answer with a document, and with `more` headers."""
    headers = [JSON, (b"content-length", b"%d" % len(body)), *more]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
