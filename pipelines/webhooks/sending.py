"""One attempt to deliver one message, signed after Standard Webhooks (standardwebhooks.com)."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from importlib.metadata import version
from ssl import SSLContext

import httpcore
import httpx
from standardwebhooks import Webhook

from pipelines.errors import WebhookError
from pipelines.settings import Settings
from pipelines.storage.webhooks import Endpoint
from pipelines.webhooks.addresses import CheckedNetwork, Resolve, checked_url, resolve

Headers = Mapping[bytes | str, bytes | str]

GONE = 410
_ASKS_FOR_PATIENCE = (429, 503)
_FAILURES = (
    WebhookError,
    httpcore.NetworkError,
    httpcore.TimeoutException,
    httpcore.ProtocolError,
    ValueError,  # of a secret that is none: it must not keep the rest from being sent
)


@dataclass(frozen=True)
class Outcome:
    """How an attempt ended; `error` is None where the message arrived."""

    error: str | None
    status: int | None = None
    retry_after: float | None = None
    """Seconds until the receiver wants to be asked again, if it said so."""


@dataclass(frozen=True)
class Sender:
    """Sends as settings allow; follows no redirect, and reads nothing but the head of an answer."""

    settings: Settings
    resolve: Resolve = resolve

    def send(self, endpoint: Endpoint, event_id: str, body: str, now: datetime) -> Outcome:
        """Try once. Never raises for anything that a receiver does."""
        try:
            status, headers = self._posted(endpoint, event_id, body, now)
        except _FAILURES as error:
            return Outcome(str(error) or type(error).__name__)
        if 200 <= status < 300:
            return Outcome(None, status)
        waits = _retry_after(headers, now) if status in _ASKS_FOR_PATIENCE else None
        return Outcome(f"answered {status}", status, waits)

    def _posted(
        self, endpoint: Endpoint, event_id: str, body: str, now: datetime
    ) -> tuple[int, Mapping[bytes, bytes]]:
        url = checked_url(endpoint.url, https_only=https_only(self.settings))
        rules = self.settings.webhooks
        network = CheckedNetwork(
            rules.timeout_seconds, allow_private=rules.allow_private, resolve=self.resolve
        )
        # Of httpcore rather than httpx, which would ask HTTPS_PROXY to connect in our stead.
        with (
            httpcore.ConnectionPool(ssl_context=_trust(), network_backend=network) as pool,
            pool.stream(
                "POST",
                httpcore.URL(
                    scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path
                ),
                headers=signed_headers(endpoint.secret, event_id, body, now),
                content=body.encode(),
            ) as answer,
        ):
            return answer.status, {name.lower(): value for name, value in answer.headers}


def https_only(settings: Settings) -> bool:
    """Signatures prove who sent a message, but hide nothing of it."""
    return settings.environment != "development"


def signed_headers(secret: str, event_id: str, body: str, now: datetime) -> Headers:
    """The headers of a message; `now` is the time of the attempt, in UTC."""
    return {
        "content-type": "application/json",
        "user-agent": f"bookrec/{version('book-recommender')}",
        "webhook-id": event_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(secret).sign(event_id, now, body),
    }


def _retry_after(headers: Mapping[bytes, bytes], now: datetime) -> float | None:
    said = headers.get(b"retry-after", b"").decode("ascii", "replace").strip()
    if said.isdecimal():
        return float(said)
    try:
        at = parsedate_to_datetime(said)
    except ValueError:
        return None
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() - now.timestamp()


@cache
def _trust() -> SSLContext:
    return httpx.create_ssl_context()
