from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing
from quart_trio.asgi import TrioASGIHTTPConnection

from api.server.connection import HTTPConnection
from tests.api.harness import Opened, opened

KEEP_ALIVE = b"GET /ready HTTP/1.1\r\nHost: localhost\r\n\r\n"
# The head alone of a body that is refused before it comes.
HUGE = b"POST /get_session HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999\r\n\r\n"


async def answered(door: Opened, request: bytes) -> trio.SocketStream:
    """Send `request` and read its answer; the connection stays open from this side."""
    stream = await door.connect()
    await stream.send_all(request)
    await read_answer(stream)
    return stream


async def read_answer(stream: trio.SocketStream) -> bytes:
    answer = b""
    with trio.fail_after(40):
        while not answer.endswith(b"}"):
            answer += await stream.receive_some()
    return answer


async def is_closed_by_server(stream: trio.SocketStream) -> bool:
    """Tell whether the server ends the connection as far as anything still happens there."""
    await trio.testing.wait_all_tasks_blocked(0.1)
    with trio.move_on_after(0.1):
        try:
            return await stream.receive_some() == b""
        except trio.BrokenResourceError:
            return True
    return False


async def test_an_idle_kept_connection_ends_with_the_server() -> None:
    async with opened(drain_s=60) as door, await answered(door, KEEP_ALIVE) as stream:
        door.drain.begin()
        assert await is_closed_by_server(stream)


async def test_a_kept_connection_ends_when_it_has_idled_for_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("api.server.web._BEAT_S", 0.01)
    async with opened() as door, await answered(door, KEEP_ALIVE) as stream:
        with trio.move_on_after(0.1) as still_open:
            await stream.receive_some()
        assert still_open.cancelled_caught
        monkeypatch.setattr("api.server.web.KEEP_ALIVE_S", 0.01)
        with trio.fail_after(40):
            assert await stream.receive_some() == b""


async def test_a_head_that_says_how_long_its_body_is_comes_in_one_piece_with_it() -> None:
    async with opened() as door, await door.connect() as stream:
        for _ in range(5):
            await stream.send_all(KEEP_ALIVE)
            with trio.fail_after(40):
                assert (await stream.receive_some()).endswith(b'{"status":"ready"}')


@pytest.mark.parametrize(
    ("connection", "closes"), [(TrioASGIHTTPConnection, False), (HTTPConnection, True)]
)
async def test_a_connection_with_an_unread_body_is_closed_only_since_the_last_send_is_shielded(
    connection: Any, closes: bool
) -> None:
    async with opened(drain_s=60) as door:
        door.app.asgi_http_class = connection
        async with await answered(door, HUGE) as stream:
            assert await is_closed_by_server(stream) is closes


async def test_a_kept_connection_serves_one_request_after_another() -> None:
    async with opened() as door, await answered(door, KEEP_ALIVE) as stream:
        for _ in range(20):
            await stream.send_all(KEEP_ALIVE)
            assert (await read_answer(stream)).startswith(b"HTTP/1.1 200")


async def test_requests_sent_ahead_are_answered_in_order() -> None:
    async with opened() as door:
        last = KEEP_ALIVE.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
        answer = await door.say(KEEP_ALIVE * 3 + last.replace(b"/ready", b"/sessions"))
    assert answer.count(b"HTTP/1.1 200") == 4
    assert answer.endswith(b'"sessions":[]}')


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        (b"GET ?x HTTP/1.1", b"404"),
        (b"GET http://evil.example/ready HTTP/1.1", b"200"),
        (b"OPTIONS * HTTP/1.1", b"404"),
        (b"GET /%00%ff%zz HTTP/1.1", b"404"),
        (b"GET /ready?" + b"q" * 8000 + b" HTTP/1.1", b"200"),
        (b"GET /ready HTTP/1.0", b"200"),
        (b"PRI * HTTP/2.0", b"403"),
        (b"nonsense", b"400"),
    ],
)
async def test_odd_request_lines_get_an_answer_and_harm_nobody(
    request_line: bytes, status: bytes
) -> None:
    async with opened() as door:
        host = b"" if b"2.0" in request_line else b"Host: localhost\r\n"
        answer = await door.say(request_line + b"\r\n" + host + b"Connection: close\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 " + status)
        assert (await door.client.get("/sessions")).status_code == 200


async def test_an_offer_to_change_to_http_2_is_passed_over() -> None:
    async with opened() as door:
        answer = await door.say(
            b"GET /ready HTTP/1.1\r\nHost: localhost\r\nUpgrade: h2c\r\n"
            b"HTTP2-Settings: AAMAAABk\r\nConnection: Upgrade, HTTP2-Settings, close\r\n\r\n"
        )
    assert answer.startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(("host", "status"), [(b"localhost", b"404"), (b"evil.example", b"403")])
async def test_a_websocket_that_no_route_takes_passes_the_guard_all_the_same(
    host: bytes, status: bytes
) -> None:
    async with opened() as door:
        answer = await door.say(
            b"GET /sessions/x/y HTTP/1.1\r\nHost: " + host + b"\r\nConnection: Upgrade\r\n"
            b"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
    assert answer.startswith(b"HTTP/1.1 " + status)
    assert b'{"success":false' in answer
