from __future__ import annotations

import pytest

from api.address import Address, is_loopback_name, parse_address, parse_origin


@pytest.mark.parametrize(
    ("text", "written", "loopback", "wildcard"),
    [
        ("127.0.0.1:5010", "127.0.0.1:5010", True, False),
        ("127.8.9.10:1", "127.8.9.10:1", True, False),
        ("localhost:0", "127.0.0.1:0", True, False),
        ("LOCALHOST:1", "127.0.0.1:1", True, False),
        ("[::1]:5010", "[::1]:5010", True, False),
        ("0.0.0.0:80", "0.0.0.0:80", False, True),
        ("[::]:80", "[::]:80", False, True),
        ("192.168.1.5:80", "192.168.1.5:80", False, False),
    ],
)
def test_an_address_is_an_ip_literal_or_localhost_with_a_port(
    text: str, written: str, loopback: bool, wildcard: bool
) -> None:
    address = parse_address(text)
    assert address is not None
    assert (str(address), address.is_loopback, address.is_wildcard) == (written, loopback, wildcard)


@pytest.mark.parametrize(
    "text",
    [
        *("", "5010", ":5010", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1"),
        *("127.1:80", "example.com:80", "::1:80", "[::1]", "[::1%lo]:80", "[::ffff:127.0.0.1]:80"),
        *("127.0.0.1:80 ", "http://127.0.0.1:80", "u@127.0.0.1:80", "127.0.0.1:８0"),
    ],
)
def test_what_is_not_certainly_an_address_is_none(text: str) -> None:
    assert parse_address(text) is None


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.255.0.9", "[::1]"])
def test_a_host_that_can_only_be_this_machine_is_loopback(host: str) -> None:
    assert is_loopback_name(host)


@pytest.mark.parametrize(
    "host",
    [
        *("localhost.", "a.localhost", "localhost.evil.com", "127.0.0.1.nip.io", "127.1", "0"),
        *("0.0.0.0", "[::]", "[::ffff:127.0.0.1]", "2130706433", "0x7f.0.0.1", "0177.0.0.1", ""),
    ],
)
def test_a_host_that_could_be_another_machine_is_not_loopback(host: str) -> None:
    assert not is_loopback_name(host)


def test_origins_compare_by_scheme_host_and_port_whatever_way_they_are_written() -> None:
    assert parse_origin("HTTP://LocalHost") == parse_origin("http://localhost:80")
    assert parse_origin("https://a.example:443") == parse_origin("https://a.example")
    assert parse_origin("http://localhost:5010") != parse_origin("http://127.0.0.1:5010")
    assert parse_origin("http://localhost:5010") != parse_origin("https://localhost:5010")
    assert str(parse_origin("https://A.example:443")) == "https://a.example"


@pytest.mark.parametrize(
    "text",
    ["null", "*", "", "http://", "file://x", "http://a/", "http://u@a", "http://a b", "http://a:0"],
)
def test_what_is_no_origin_of_a_web_page_is_none(text: str) -> None:
    assert parse_origin(text) is None


def test_a_port_on_loopback_is_an_address() -> None:
    assert Address.at(5010) == parse_address("127.0.0.1:5010")
