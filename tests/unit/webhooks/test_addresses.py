from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.errors import WebhookError
from pipelines.webhooks.addresses import checked_addresses, checked_url, is_public


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.8.8.8", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254",
        "100.64.0.1", "0.0.0.0", "0.1.2.3", "224.0.0.1", "240.0.0.1", "255.255.255.255",  # noqa: S104 - nothing is bound here
        "198.18.0.1", "192.0.2.1",
        "::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "fd12::1", "ff02::1", "fec0::1",
        "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1", "2002:7f00:1::", "2002:a00:1::",
        "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "2001:db8::1", "2001::1", "100::1",
    ],
)  # fmt: skip
def test_addresses_that_are_not_of_the_internet_are_refused(address: str):
    assert not is_public(ip_address(address))
    with pytest.raises(WebhookError, match="not on the internet"):
        checked_addresses("hooks.example", 443, allow_private=False, resolve=lambda *_: [address])


@pytest.mark.parametrize(
    "address", ["93.184.216.34", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]
)
def test_addresses_of_the_internet_may_be_called(address: str):
    found = checked_addresses("x", 443, allow_private=False, resolve=lambda *_: [address])
    assert found == [address]


@given(st.ip_addresses(v=4))
def test_wrapping_an_address_into_a_newer_one_changes_nothing(address: IPv4Address):
    """`::ffff:a.b.c.d`, NAT64 and 6to4 are as public as what they wrap."""
    number = int(address)
    for wrapped in (0xFFFF << 32 | number, 0x64FF9B << 96 | number, 0x2002 << 112 | number << 80):
        assert is_public(IPv6Address(wrapped)) == is_public(address)


def test_one_private_address_among_public_ones_is_enough_to_refuse():
    with pytest.raises(WebhookError, match=r"x \(10\.0\.0\.1\) is not on"):
        checked_addresses(
            "x", 443, allow_private=False, resolve=lambda *_: ["93.184.216.34", "10.0.0.1"]
        )


@pytest.mark.parametrize("host", ["127.0.0.1", "2130706433", "0x7f.1", "127.1", "localhost"])
def test_every_spelling_of_loopback_is_seen_through(host: str):
    with pytest.raises(WebhookError):
        checked_addresses(host, 80, allow_private=False)


@pytest.mark.parametrize("host", ["no-such-host.invalid", "x" * 300])
def test_a_name_without_an_address_is_one_line(host: str):
    with pytest.raises(WebhookError, match="cannot be resolved"):
        checked_addresses(host, 80, allow_private=True)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://hooks.example/x", "must begin with https://"),
        ("ftp://hooks.example/x", "must begin with https://"),
        ("file:///etc/passwd", "must begin with https://"),
        ("https:///x", "must begin with https://"),
        ("hooks.example", "must begin with https://"),
        ("https://me:secret@hooks.example/", "leave user and password out"),
        ("https://hooks.example:x/", "malformed"),
        ("https://.example/", "malformed"),
        (f"https://{'x' * 70}.example/", "malformed"),
    ],
)
def test_an_address_that_may_not_be_called_is_refused_with_its_reason(url: str, reason: str):
    with pytest.raises(WebhookError, match=reason):
        checked_url(url, https_only=True)


def test_plain_http_is_for_development():
    assert checked_url("http://localhost:9/x", https_only=False).host == "localhost"
