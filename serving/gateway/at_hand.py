"""
Answers that this worker remembers, for callers it knows: written out before a task is made.

Nobody has to be asked anything, not even whether the caller may ask once more: there is nothing to
wait for, and nothing to limit in time.
"""

import time
from collections.abc import Sequence
from functools import lru_cache

from starlette.types import Scope

from serving.bootstrap import Components
from serving.gateway.admission import admitted
from serving.gateway.edge import API_CACHE, always, named, record
from serving.gateway.remembering import JSON, Header, Question


class AtHand:
    """Finds what `AtHandProtocol` gives."""

    def __init__(self, parts: Components) -> None:
        self._parts = parts

    def __call__(self, scope: Scope) -> Sequence[bytes] | None:
        """Headers, an empty line and the body of an answer; None where the layers have to."""
        started = time.perf_counter()
        asked = Question.of(scope, self._parts)
        kept = None if asked is None else asked.remembered
        if asked is None or kept is None:
            return None
        headers, request_id = named(scope)
        caller = admitted(self._parts, scope, headers, kept.route, asked.user_id)
        if caller is None:
            return None
        allowance = self._parts.security.count_held(caller)
        if allowance is None:
            return None
        body = asked.given(kept)
        record(self._parts, scope, request_id, kept.route, 200, started)
        return [
            _always(scope["scheme"]),
            b"content-length: %d\r\nx-request-id: %b\r\n" % (len(body), request_id.encode()),
            _written(allowance.raw_headers()),
            b"\r\n",
            body,
        ]


@lru_cache
def _always(scheme: str) -> bytes:
    return _written([JSON, API_CACHE, *always("/api/", scheme)])


def _written(headers: Sequence[Header]) -> bytes:
    return b"".join([b"%b: %b\r\n" % header for header in headers])
