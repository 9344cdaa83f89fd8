from __future__ import annotations

import socket

import pytest

from api.address import Address, parse_address
from api.server.listen import AddressUnavailable, bound_url, open_listener, open_listeners


def at(text: str) -> Address:
    address = parse_address(text)
    assert address is not None
    return address


def test_a_free_port_is_taken_and_told() -> None:
    with open_listener(at("127.0.0.1:0")) as listener:
        url = bound_url(listener, scheme="http")
        assert url == f"http://127.0.0.1:{listener.getsockname()[1]}"
        assert not url.endswith(":0")


def test_an_ipv6_address_takes_ipv6_alone_and_is_written_in_brackets() -> None:
    with open_listener(at("[::1]:0")) as listener:
        port = listener.getsockname()[1]
        assert bound_url(listener, scheme="https") == f"https://[::1]:{port}"
    with open_listener(at("[::]:0")) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port)).close()


def test_a_taken_port_is_named_with_what_to_do() -> None:
    with open_listener(at("127.0.0.1:0")) as listener:
        taken = Address.at(listener.getsockname()[1])
        with pytest.raises(AddressUnavailable, match=f"{taken}: the port is taken.*--bind"):
            open_listener(taken)


def test_an_address_of_another_machine_is_named() -> None:
    with pytest.raises(AddressUnavailable, match=r"192\.0\.2\.1:0: it is no address of this"):
        open_listener(at("192.0.2.1:0"))


def test_a_taken_port_that_is_optional_is_passed_over() -> None:
    with open_listener(Address.at(0)) as listener:
        taken = Address.at(listener.getsockname()[1])
        with open_listeners([Address.at(0), taken], optional=frozenset({taken})) as listeners:
            assert len(listeners) == 1


def test_when_one_of_several_is_taken_none_is_left_open() -> None:
    with open_listener(Address.at(0)) as free:
        port = free.getsockname()[1]
    with open_listener(Address.at(0)) as listener:
        taken = Address.at(listener.getsockname()[1])
        with pytest.raises(AddressUnavailable), open_listeners([Address.at(port), taken]):
            pass
        open_listener(Address.at(port)).close()


def test_a_port_whose_last_client_has_only_just_gone_is_free() -> None:
    with open_listener(Address.at(0)) as listener:
        port = listener.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            accepted, _ = listener.accept()
            accepted.close()  # this side first, so that it is this side that lingers
    open_listener(Address.at(port)).close()
