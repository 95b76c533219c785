"""
HTTP/1.1 as uvicorn speaks it, but for answers that are at hand: these are written at once.

For every other request uvicorn makes a task, in which the application runs, and looks at each
header of what comes out of it; that takes longer than to find an answer that is remembered. Whoever
answers from memory stands in the application's state (ASGI's lifespan state) under `AT_HAND`.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any

import uvicorn.config
from uvicorn._types import ASGI3Application
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

AT_HAND = "at_hand"

Answering = Callable[[dict[str, Any]], Sequence[bytes] | None]
"""
From the scope of a GET to what follows uvicorn's own headers: headers, an empty line, the body.

None where the application has to be asked, which meets the same request.
"""

_FORWARDED = frozenset({b"x-forwarded-for", b"x-forwarded-proto"})
_OK: bytes = STATUS_LINE[200]


def speak() -> None:
    """
    Have uvicorn speak so, wherever it is not told otherwise.

    Who starts a worker is BentoML, which has no option for it.
    """
    uvicorn.config.HTTP_PROTOCOLS["auto"] = f"{__name__}:{AtHandProtocol.__name__}"


class AtHandProtocol(HttpToolsProtocol):
    """Gives what is at hand where nothing else is to be done on a connection."""

    def __init__(self, config: uvicorn.config.Config, *args: Any, **options: Any) -> None:
        super().__init__(config, *args, **options)
        trusted = config.forwarded_allow_ips if config.proxy_headers else []
        self._proxied = _proxied(trusted if isinstance(trusted, str) else tuple(trusted))
        self._is_given = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Answers go out through what gathers them; all else is done to the transport itself."""
        super().connection_made(transport)
        self._out = _Outgoing(transport, self.loop)

    def on_headers_complete(self) -> None:
        """Of a request; uvicorn's own, unless the answer is given."""
        self._is_given = self._gives_at_hand()
        if not self._is_given:
            self._unset_keepalive_if_required()  # of an answer given since the last bytes came
            super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Of a request, which has no body if its answer is given."""
        if not self._is_given:
            super().on_message_complete()

    def shutdown(self) -> None:
        """Close what waits for nothing, after what is answered already."""
        self._out.flush()
        super().shutdown()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        cycle.transport = self._out  # type: ignore[assignment]
        super()._start_asgi_task(cycle, app)

    def _gives_at_hand(self) -> bool:
        answering: Answering | None = self.app_state.get(AT_HAND)
        if answering is None or not self._may_be_given():
            return False
        try:
            answer = answering(self._question())
        except Exception:  # a defect, which costs the caller nothing: the application is asked
            self.logger.exception("answer_at_hand_failed")
            return False
        if answer is None:
            return False
        head = [b"%b: %b\r\n" % header for header in self.server_state.default_headers]
        self._out.write(b"".join([_OK, *head, *answer]))
        self.on_response_complete()
        return True

    def _may_be_given(self) -> bool:
        """Whether this is a plain question, and nothing before it waits for its answer."""
        parser = self.parser
        return (
            parser.get_method() == b"GET"
            and (self.cycle is None or self.cycle.response_complete)
            and not self.flow.write_paused
            and self._out.n_bytes < HIGH_WATER_LIMIT
            and parser.get_http_version() == "1.1"
            and parser.should_keep_alive()
            and not parser.should_upgrade()
            and not self.expect_100_continue
            and self.limit_concurrency is None
            and not self.root_path
            # Encoded characters, and what is no path, are for uvicorn to read.
            and self.url.startswith(b"/")
            and b"%" not in self.url
            and b"#" not in self.url
        )

    def _question(self) -> dict[str, Any]:
        raw_path, _, query = self.url.partition(b"?")
        scope: dict[str, Any] = {
            **self.scope,
            "method": "GET",
            "path": raw_path.decode("ascii"),
            "raw_path": raw_path,
            "query_string": query,
        }
        if any(name in _FORWARDED for name, _ in self.headers):
            _run(self._proxied(scope, _nothing, _nothing))  # type: ignore[arg-type]
        return scope


class _Outgoing:
    """
    The answers of one connection, of which all that is written at a time goes out as one piece.

    It does so once every request that has arrived is looked at: then several answers follow each
    other closely, and who waits for them on this machine is woken once. With two writes an answer,
    each as it came, half of the time of a remembered one went into waking.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._waiting: list[bytes] = []
        self.n_bytes = 0
        """Of what waits."""

    def write(self, data: bytes) -> None:
        if not self._waiting:
            self._loop.call_soon(self.flush)
        self._waiting.append(data)
        self.n_bytes += len(data)

    def close(self) -> None:
        self.flush()
        self._transport.close()

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def flush(self) -> None:
        """Write what waits; to nobody if the caller has hung up meanwhile."""
        waiting, self._waiting, self.n_bytes = self._waiting, [], 0
        if waiting and not self._transport.is_closing():
            self._transport.write(b"".join(waiting))


@lru_cache
def _proxied(trusted: str | tuple[str, ...]) -> ProxyHeadersMiddleware:
    """What looks whom a proxy asks for; it remembers a lot, so one is for all connections."""
    return ProxyHeadersMiddleware(_nothing, trusted if isinstance(trusted, str) else [*trusted])


async def _nothing(*_: object) -> None:
    pass


def _run(coroutine: Coroutine[Any, Any, None]) -> None:
    """To its end, before which it waits for nothing."""
    with suppress(StopIteration):
        coroutine.send(None)
