"""One line in the log for each request that was answered, or for a share of them."""

import asyncio
import random
import sys
import time
from functools import lru_cache
from typing import Any

import structlog
from pydantic_core import to_json

from pipelines.observability import service_in_json

SLOW_SECONDS = 1.0
"""What took longer is always logged, and so is what was not answered as asked."""

EVENT = "request_answered"

GATHER_SECONDS = 0.05
"""How long a line may wait for others, to be written with them."""


class AccessLog:
    """
    Logs requests.

    Lines of JSON are made here and written some at once: structlog would take longer for a line,
    and the system for each write, than the service for an answer. Who is killed loses the last.

    Args:
        share: Of the ordinary ones, drawn at random; their lines say it, to be multiplied by.
    """

    def __init__(self, share: float = 1.0) -> None:
        self._share = share
        # Bound once: to look for the configuration takes a third of the time of a line.
        self._log = structlog.get_logger().bind()
        self._service: str | None = None
        self._lines: list[str] = []
        self._clock = _Clock()

    def note(
        self,
        method: str,
        route: str,
        status: int,
        seconds: float,
        request_id: str,
        *,
        quiet: bool,
    ) -> None:
        """
        Log one request, if it is drawn.

        Args:
            method: Of HTTP.
            route: The template of the path.
            status: As it was answered.
            seconds: Until then.
            request_id: As the caller was told; of letters, digits and `._-` alone.
            quiet: Whether it is of no interest but to those who look for defects.
        """
        share = None
        if self._share < 1 and status < 400 and seconds <= SLOW_SECONDS:
            if random.random() >= self._share:  # noqa: S311 - no secret
                return
            share = self._share
        if not quiet and self._gathers():
            begin, end = _around(method, route, status, share, self._service)
            line = f'{begin}{seconds * 1000:.2f},"request_id":"{request_id}"{end}'
            self._lines.append(f'{line}"{self._clock.now()}"}}')
            return
        fields: dict[str, Any] = {
            "method": method,
            "route": route,
            "status": status,
            "milliseconds": round(seconds * 1000, 2),
            "request_id": request_id,
        }
        if share is not None:
            fields["share"] = share
        (self._log.debug if quiet else self._log.info)(EVENT, **fields)

    def _gathers(self) -> bool:
        """Whether lines are JSON; looked at once for all that wait together."""
        if not self._lines:
            self._service = service_in_json()
            if self._service is not None:
                asyncio.get_running_loop().call_later(GATHER_SECONDS, self.flush)
        return self._service is not None

    def flush(self) -> None:
        """Write what waits."""
        lines, self._lines = self._lines, []  # before anything can go wrong: the next make a timer
        if lines:
            sys.stderr.write("\n".join([*lines, ""]))
            sys.stderr.flush()


@lru_cache(1024)
def _around(
    method: str, route: str, status: int, share: float | None, service: str | None
) -> tuple[str, str]:
    """What stands before the milliseconds of a line and behind its id; the time is to follow."""
    begin = to_json({"method": method, "route": route, "status": status}).decode()[:-1]
    fields = {} if share is None else {"share": share}
    end = to_json({**fields, "service": service, "event": EVENT, "level": "info"}).decode()
    return f'{begin},"milliseconds":', f',{end[1:-1]},"timestamp":'


class _Clock:
    """Tells the time as structlog writes it, the date anew each second."""

    def __init__(self) -> None:
        self._second = 0
        self._date = ""

    def now(self) -> str:
        second, rest = divmod(time.time_ns(), 1_000_000_000)
        if second != self._second:
            self._second = second
            self._date = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        return f"{self._date}.{rest // 1000:06d}Z"
