"""
Where a webhook may go: to the internet, and not into the network that this process stands in.

A name is resolved once, when the connection is made, and the connection goes to the very address
that was checked, so a name that changes its address in between gains nothing.
"""

import socket
import time
from collections.abc import Callable, Iterable, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from ssl import SSLContext
from typing import Any

import httpcore
import httpx

from pipelines.errors import WebhookError

Resolve = Callable[[str, int], Sequence[str]]
"""From a name and a port to addresses, in the order to try them."""

_GLOBAL_UNICAST = ip_network("2000::/3")
_NAT64 = ip_network("64:ff9b::/96")


def resolve(host: str, port: int) -> Sequence[str]:
    """What the system's resolver says."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Whether an address belongs to the internet, also where it wraps an older one."""
    if isinstance(address, IPv6Address):
        if (wrapped := _wrapped(address)) is not None:
            return is_public(wrapped)
        if address not in _GLOBAL_UNICAST:
            return False
    return address.is_global and not address.is_multicast


def _wrapped(address: IPv6Address) -> IPv4Address | None:
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour


def checked_url(url: str, *, https_only: bool) -> httpx.URL:
    """
    An address as it was meant.

    Raises:
        WebhookError: it is malformed, not encrypted, or holds a password.
    """
    try:
        parsed = httpx.URL(url)
        parsed.raw_host.decode().encode("idna")  # what TLS does, too late to close its socket
    except (httpx.InvalidURL, UnicodeError) as error:
        raise WebhookError(f"the address of a webhook is malformed: {error}") from error
    allowed = {"https"} if https_only else {"https", "http"}
    if parsed.scheme not in allowed or not parsed.host:
        raise WebhookError(f"the address of a webhook must begin with {' or '.join(allowed)}://")
    if parsed.userinfo:
        raise WebhookError("leave user and password out of the address: messages are signed")
    return parsed


def checked_addresses(
    host: str, port: int, *, allow_private: bool, resolve: Resolve = resolve
) -> list[str]:
    """
    The addresses of a name.

    Raises:
        WebhookError: it has none, or one of them is not of the internet.
    """
    try:
        addresses = list(resolve(host, port))
    except (OSError, UnicodeError) as error:
        raise WebhookError(f"{host} cannot be resolved: {error}") from error
    private = [a for a in addresses if not is_public(ip_address(a))]
    if private and not allow_private:
        named = host if host == private[0] else f"{host} ({private[0]})"
        raise WebhookError(
            f"{named} is not on the internet: if that is meant, set "
            "BOOKREC_WEBHOOKS__ALLOW_PRIVATE=true"
        )
    return addresses


class CheckedNetwork(httpcore.NetworkBackend):
    """
    Connects to checked addresses, and to nothing once `seconds` are over.

    Args:
        seconds: For everything, from now: a receiver cannot hold us by answering byte by byte.
        allow_private: Whether addresses that are not of the internet may be called.
        resolve: From names to addresses.
    """

    def __init__(self, seconds: float, *, allow_private: bool, resolve: Resolve = resolve) -> None:
        self._ends = time.monotonic() + seconds
        self._allow_private = allow_private
        self._resolve = resolve

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ARG002 - the whole has one
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        addresses = checked_addresses(
            host, port, allow_private=self._allow_private, resolve=self._resolve
        )
        failure: Exception = httpcore.ConnectError(f"{host} has no address")
        for address in addresses:
            left = _left(self._ends, httpcore.ConnectTimeout)
            try:
                stream = httpcore.SyncBackend().connect_tcp(
                    address, port, left, local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
            else:
                return _TimedStream(stream, self._ends)
        raise failure


class _TimedStream(httpcore.NetworkStream):
    """A stream that is over at one moment, however often it is read."""

    def __init__(self, stream: httpcore.NetworkStream, ends: float) -> None:
        self._stream = stream
        self._ends = ends

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002 - the whole has one
        return self._stream.read(max_bytes, _left(self._ends, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002 - the whole has one
        self._stream.write(buffer, _left(self._ends, httpcore.WriteTimeout))

    def start_tls(
        self,
        ssl_context: SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ARG002 - the whole has one
    ) -> httpcore.NetworkStream:
        left = _left(self._ends, httpcore.ConnectTimeout)
        return _TimedStream(self._stream.start_tls(ssl_context, server_hostname, left), self._ends)

    def close(self) -> None:
        self._stream.close()

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _left(ends: float, over: type[httpcore.TimeoutException]) -> float:
    left = ends - time.monotonic()
    if left <= 0:
        raise over("the time of the attempt is over")
    return left
