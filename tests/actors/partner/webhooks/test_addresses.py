"""Point 15: which addresses a webhook may be sent to."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.partner.webhooks.addresses import is_public

PUBLIC = ["8.8.8.8", "93.184.216.34", "1.1.1.1", "172.32.0.1", "100.128.0.1", "223.255.255.254"]
PUBLIC_6 = ["2606:4700::1111", "2a00:1450:4001:81b::200e", "2001:4860:4860::8888"]
INSIDE = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "100.64.0.1",
    "100.127.255.255",
    "127.0.0.1",
    "127.255.255.254",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.8",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.51.100.7",
    "203.0.113.9",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
]
INSIDE_6 = [
    "::",
    "::1",
    "::7f00:1",  # IPv4-compatible
    "fe80::1",
    "fe80::1%lo",
    "2606:4700::1111%lo",  # a zone is this machine's, whatever address it is put to
    "fec0::1",
    "fc00::1",
    "fd12:3456::1",
    "ff02::1",
    "2001:db8::1",
    "2001::1",  # Teredo
    "2001:10::1",
    "100::1",  # discard
    "3fff::1",
    "5f00::1",
    "64:ff9b:1::1",  # local NAT64
]


@pytest.mark.parametrize("text", PUBLIC + PUBLIC_6)
def test_the_internets_addresses_are_public(text: str) -> None:
    assert is_public(ipaddress.ip_address(text))


@pytest.mark.parametrize("text", INSIDE + INSIDE_6)
def test_everything_else_is_not(text: str) -> None:
    assert not is_public(ipaddress.ip_address(text))


@pytest.mark.parametrize("inner", PUBLIC + INSIDE)
def test_nothing_hides_inside_an_ipv6_address(inner: str) -> None:
    number = int(ipaddress.IPv4Address(inner))
    mapped = ipaddress.IPv6Address(0xFFFF << 32 | number)
    six_to_four = ipaddress.IPv6Address(0x2002 << 112 | number << 80)
    teredo = ipaddress.IPv6Address(0x20010000 << 96 | number ^ 0xFFFFFFFF)
    assert not any(map(is_public, (mapped, six_to_four, teredo)))
    nat64 = ipaddress.IPv6Address(0x64FF9B << 96 | number)
    assert is_public(nat64) == (inner in PUBLIC)


@given(st.ip_addresses())
def test_whatever_python_knows_to_be_inside_is_not_public(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    if address.is_private or address.is_multicast or address.is_reserved or address.is_loopback:
        nat64 = address in ipaddress.ip_network("64:ff9b::/96") if address.version == 6 else False
        assert nat64 or not is_public(address)
