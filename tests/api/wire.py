"""A websocket client over a bare socket, which shows codes, and can misbehave."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import msgspec
import trio
from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    CloseConnection,
    Message,
    Ping,
    RejectConnection,
    RejectData,
    Request,
)


class Refused(Exception):
    """The server answered the handshake with HTTP."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class Closed(Exception):
    """The server closed; 1006 without a close frame."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason


class Line:
    """A subscriber that keeps what it was sent. Answers pings while it reads."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self.frames: list[dict[str, Any]] = []
        self.pings = 0
        self._ws = WSConnection(ConnectionType.CLIENT)
        self._text = ""

    @property
    def events(self) -> list[dict[str, Any]]:
        return [frame for frame in self.frames if "at" in frame]

    async def open(
        self, target: str, headers: tuple[tuple[bytes, bytes], ...] = (), *, port: int
    ) -> None:
        request = Request(host=f"127.0.0.1:{port}", target=target, extra_headers=list(headers))
        await self.stream.send_all(self._ws.send(request))
        event = await self._event()
        if isinstance(event, RejectConnection):
            raise Refused(event.status_code)
        assert isinstance(event, AcceptConnection)

    async def next(self) -> dict[str, Any]:
        """Return the next frame; raises Closed at the end."""
        with trio.fail_after(40):
            while True:
                event = await self._event()
                match event:
                    case Message():
                        self._text += event.data
                        if event.message_finished:
                            frame: dict[str, Any] = msgspec.json.decode(self._text)
                            self._text = ""
                            self.frames.append(frame)
                            return frame
                    case Ping():
                        self.pings += 1
                        await self.stream.send_all(self._ws.send(event.response()))
                    case CloseConnection():
                        await self._answer_close(event)
                        raise Closed(event.code, event.reason or "")

    async def until(self, kind: str) -> dict[str, Any]:
        while (frame := await self.next())["type"] != kind:
            pass
        return frame

    async def closed(self) -> Closed:
        """Read to the end, and return how it was."""
        while True:
            try:
                await self.next()
            except Closed as closed:
                return closed

    async def say(self, **frame: Any) -> None:
        await self.send(Message(data=msgspec.json.encode(frame).decode()))

    async def send(self, event: Any) -> None:
        await self.stream.send_all(self._ws.send(event))

    async def _event(self) -> Any:
        while True:
            for event in self._ws.events():
                if not isinstance(event, RejectData):
                    return event
            try:
                data = await self.stream.receive_some(65536)
            except trio.BrokenResourceError:
                data = b""
            self._ws.receive_data(bytes(data) or None)

    async def answer_pings(self) -> None:
        """Read for ever, for the pings only."""
        while True:
            event = await self._event()
            if isinstance(event, Ping):
                self.pings += 1
                await self.stream.send_all(self._ws.send(event.response()))

    async def _answer_close(self, event: CloseConnection) -> None:
        if event.code != 1006:
            with suppress(trio.BrokenResourceError):
                await self.stream.send_all(self._ws.send(event.response()))


@asynccontextmanager
async def lined(
    port: int, target: str, headers: tuple[tuple[bytes, bytes], ...] = ()
) -> AsyncIterator[Line]:
    """Open a websocket for the length of a block; left without a close frame, as a tunnel does."""
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        line = Line(stream)
        with trio.fail_after(40):
            await line.open(target, headers, port=port)
        yield line
