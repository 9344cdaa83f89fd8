"""How long a client's machine has been silent, by what the system says of its connection."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator

import pytest
import trio

from api.server import transport as module
from api.server.transport import Transport


class System:
    """Says what it is told to: segments on their way, and seconds since one was confirmed."""

    def __init__(self) -> None:
        self.told = (0, 0.0)

    def __call__(self, connection: object) -> tuple[int, float]:
        return self.told


@pytest.fixture
def system(monkeypatch: pytest.MonkeyPatch) -> System:
    said = System()
    monkeypatch.setattr(module, "_tcp_info", said)
    return said


@pytest.fixture
async def transport() -> AsyncIterator[Transport]:
    here, there = socket.socketpair()
    with there:
        stream = trio.SocketStream(trio.socket.from_stdlib_socket(here))
        async with stream:
            yield Transport(stream, send_timeout_s=1.0)


async def test_what_is_sent_after_a_long_quiet_is_waited_for(
    transport: Transport, system: System
) -> None:
    system.told = (0, 300.0)
    assert transport.silent_s(300.0) == 0.0
    system.told = (1, 301.0)  # an answer that took five minutes has just gone out
    assert transport.silent_s(301.0) == 0.0
    system.told = (0, 0.2)
    assert transport.silent_s(302.0) == 0.0
    system.told = (1, 30.0)
    assert transport.silent_s(332.0) == 0.0


async def test_a_machine_that_confirms_nothing_is_silent_since_something_was_sent(
    transport: Transport, system: System
) -> None:
    system.told = (1, 300.0)
    assert [transport.silent_s(300.0 + after) for after in range(4)] == [0.0, 1.0, 2.0, 3.0]


async def test_a_machine_that_confirms_some_of_what_is_always_on_its_way_is_not_silent(
    transport: Transport, system: System
) -> None:
    for second in range(60):
        system.told = (5, 0.3)
        assert transport.silent_s(float(second)) <= 0.3


async def test_the_system_tells_of_a_real_connection(nursery: trio.Nursery) -> None:
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with listeners[0]:
        client = await trio.open_tcp_stream(*listeners[0].socket.getsockname())
        async with client, await listeners[0].accept() as accepted:
            server = Transport(accepted, send_timeout_s=1.0)
            await server.send_all(b"x")
            assert await client.receive_some() == b"x"
            assert server.silent_s(trio.current_time()) < 1.0
        assert server.silent_s(trio.current_time()) == 0.0  # closed
