"""Raw frames: what breaks RFC 6455 is answered with its close code, and leaves nothing."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
import trio

from api.server import websocket
from api.settings import StreamSettings
from tests.api.conversing import Talk, conversing
from tests.api.wire import lined

MASK = b"\x01\x02\x03\x04"


def masked(payload: bytes) -> bytes:
    return bytes(byte ^ MASK[place % 4] for place, byte in enumerate(payload))


def frame(
    first: int, payload: bytes = b"", *, mask: bool = True, length: int | None = None
) -> bytes:
    size = len(payload) if length is None else length
    bit = 0x80 if mask else 0
    if size < 126:
        head = struct.pack("!BB", first, bit | size)
    elif size < 65_536:
        head = struct.pack("!BBH", first, bit | 126, size)
    else:
        head = struct.pack("!BBQ", first, bit | 127, size)
    return head + (MASK + masked(payload) if mask else payload)


BROKEN = {
    "a reserved opcode": (frame(0x83, b"x"), 1002),
    "a reserved control opcode": (frame(0x8B, b"x"), 1002),
    "a reserved bit": (frame(0xC1, b"{}"), 1002),
    "an unmasked frame": (frame(0x81, b"{}", mask=False), 1002),
    "a ping that is too long": (frame(0x89, b"x" * 126), 1002),
    "a ping in fragments": (frame(0x09, b"x"), 1002),
    "a continuation of nothing": (frame(0x80, b"x"), 1002),
    "a message within another": (frame(0x01, b"x") + frame(0x81, b"y"), 1002),
    "a length longer than needed": (bytes((0x81, 0x80 | 126, 0, 5)) + MASK + b"xxxxx", 1002),
    "a close with one byte": (frame(0x88, b"\x03"), 1002),
    "a close with a code that nobody may send": (frame(0x88, struct.pack("!H", 1006)), 1002),
    "a close whose reason is no text": (frame(0x88, struct.pack("!H", 1000) + b"\xff"), 1007),
    "text that is no UTF-8": (frame(0x81, b"\xff\xfe"), 1007),
    "text that is cut in a letter": (frame(0x81, "é".encode()[:1]), 1007),
    "a frame that is too large": (frame(0x81, b"x" * 2000), 1009),
    "a message that is too large": (frame(0x01, b"x" * 600) + frame(0x80, b"x" * 600), 1009),
    "a length that is beyond everything": (frame(0x81, b"x" * 5000, length=2**40), 1009),
}


async def nothing_left(talk: Talk) -> None:
    with trio.fail_after(15):
        while talk.house.hub.statistics().subscribers or talk.web.connections > 1:
            await trio.sleep(0.01)


@pytest.mark.parametrize("name", BROKEN)
async def test_what_breaks_the_protocol_is_closed_with_its_code(tmp_path: Path, name: str) -> None:
    raw, code = BROKEN[name]
    limits = StreamSettings(max_frame_bytes=1024)
    async with conversing(tmp_path, streams=limits) as talk:
        session_id = await talk.open_session()
        async with talk.line(session_id) as line:
            await line.next()
            await line.stream.send_all(raw)
            assert (await line.closed()).code == code
        await nothing_left(talk)


async def test_fragments_with_pings_between_make_one_message(tmp_path: Path) -> None:
    async with conversing(tmp_path) as talk:
        session_id = await talk.open_session()
        async with talk.line(session_id) as line:
            await line.next()
            text = '{"type":"message","id":"k","content":"é in two"}'.encode()
            cut = text.index("é".encode()) + 1
            raw = frame(0x01, text[:cut]) + frame(0x89, b"ping") + frame(0x80, text[cut:])
            for byte in raw:
                await line.stream.send_all(bytes((byte,)))
            assert (await line.until("ack"))["message"]["content"] == "é in two"


async def test_a_close_in_the_middle_of_a_message_is_answered(tmp_path: Path) -> None:
    async with conversing(tmp_path) as talk:
        session_id = await talk.open_session()
        async with talk.line(session_id) as line:
            await line.next()
            close = frame(0x88, struct.pack("!H", 1001) + b"bye")
            await line.stream.send_all(frame(0x01, b'{"type"') + close + frame(0x81, b"{}"))
            assert (await line.closed()).code == 1001
        await nothing_left(talk)


UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version": "13",
}
REFUSED: dict[str, tuple[dict[str, str], bytes, bytes]] = {
    "another version": ({"Sec-WebSocket-Version": "8"}, b"", b"426"),
    "no version": ({"Sec-WebSocket-Version": ""}, b"", b"426"),
    "no key": ({"Sec-WebSocket-Key": ""}, b"", b"400"),
    "a key that is none": ({"Sec-WebSocket-Key": "abc"}, b"", b"400"),
    "a frame before there is an answer": ({}, frame(0x89), b"400"),
    "a body": ({"Content-Length": "5"}, b"hello", b"400"),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_a_handshake_that_is_refused_leaves_no_connection_and_no_subscriber(
    tmp_path: Path, name: str
) -> None:
    changed, behind, status = REFUSED[name]
    async with conversing(tmp_path) as talk:
        target = f"/api/sessions/{await talk.open_session()}/stream"
        headers = {"Host": f"127.0.0.1:{talk.port}"} | UPGRADE | changed
        lines = [f"GET {target} HTTP/1.1", *(f"{k}: {v}" for k, v in headers.items() if v)]
        stream = await trio.open_tcp_stream("127.0.0.1", talk.port)
        async with stream:
            await stream.send_all("\r\n".join([*lines, "", ""]).encode() + behind)
            with trio.fail_after(15):  # and the server closes
                answer = b"".join([part async for part in stream])
        assert answer.startswith(b"HTTP/1.1 " + status)
        assert (b"sec-websocket-version: 13" in answer) == (status == b"426")
        await nothing_left(talk)


async def test_compression_is_not_agreed_to(tmp_path: Path) -> None:
    async with conversing(tmp_path) as talk:
        session_id = await talk.open_session()
        target = f"/api/sessions/{session_id}/stream"
        offer = ((b"sec-websocket-extensions", b"permessage-deflate"),)
        async with lined(talk.port, target, offer) as line:
            assert (await line.next())["type"] == "ready"


async def test_a_flood_behind_a_broken_frame_holds_nobody_up(tmp_path: Path) -> None:
    async with conversing(tmp_path) as talk:
        session_id = await talk.open_session()
        async with talk.line(session_id) as line:
            await line.next()
            flood = frame(0x81, b'{"type":"cancel"}') * 2000
            await line.stream.send_all(frame(0x83, b"x") + flood)
            assert (await line.closed()).code == 1002
        await nothing_left(talk)


@pytest.fixture
def quick_heart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beat twenty times as fast."""
    monkeypatch.setattr("api.server.web._BEAT_S", 0.05)
    monkeypatch.setattr(websocket, "PING_INTERVAL_S", 1.0)
    monkeypatch.setattr(websocket, "PONG_TIMEOUT_S", 0.3)
    monkeypatch.setattr(websocket, "_READING_S", 0.25)


@pytest.mark.usefixtures("quick_heart")
async def test_a_client_that_answers_pings_stays_and_one_that_does_not_is_cut(
    tmp_path: Path,
) -> None:
    async with conversing(tmp_path) as talk:
        session_id = await talk.open_session()
        async with talk.line(session_id) as lively, talk.line(session_id) as silent:
            await lively.next()
            await silent.next()
            with trio.fail_after(15), trio.CancelScope() as scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(lively.answer_pings)
                    while talk.house.hub.statistics().subscribers > 1:
                        await trio.sleep(0.02)
                    pings = lively.pings
                    while lively.pings < pings + 2:
                        await trio.sleep(0.02)
                    scope.cancel()
            assert talk.house.hub.statistics().subscribers == 1
