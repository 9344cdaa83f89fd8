"""A fake of a model server: HTTP/1.1 by hand on real sockets, to misbehave byte by byte."""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import trio

Act = Callable[["Exchange"], Awaitable[None]]


class Exchange:
    """One request, and the means to answer it in pieces."""

    def __init__(self, stream: trio.SocketStream, head: bytes, body: bytes) -> None:
        self._stream = stream
        request_line, *lines = head.decode("ascii").split("\r\n")
        self.method, self.path, _ = request_line.split(" ")
        pairs = (line.split(": ", 1) for line in lines)
        self.headers = {name.lower(): value for name, value in pairs}
        self.body: Any = json.loads(body)
        self.chunked = False

    async def raw(self, data: bytes) -> None:
        await self._stream.send_all(data)

    async def begin(self, content_type: str = "text/event-stream", **headers: str) -> None:
        """Send the head of a stream, whose length is not known."""
        await self._head(
            200, {"Content-Type": content_type, "Transfer-Encoding": "chunked"}, headers
        )
        self.chunked = True

    async def send(self, data: bytes) -> None:
        await self.raw(b"%x\r\n%b\r\n" % (len(data), data))

    async def event(self, payload: Any) -> None:
        await self.send(b"data: " + json.dumps(payload, ensure_ascii=False).encode() + b"\n\n")

    async def say(self, *texts: str) -> None:
        for text in texts:
            await self.event(piece(text))

    async def done(self, finish_reason: str = "stop", **fields: Any) -> None:
        """Finish the reply as the protocol wants it, and the answer with it."""
        await self.event({"choices": [{"index": 0, "delta": {}, "finish_reason": finish_reason}]})
        if fields:
            await self.event({"choices": [], **fields})
        await self.send(b"data: [DONE]\n\n")
        await self.end()

    async def end(self) -> None:
        await self.raw(b"0\r\n\r\n")

    async def refuse(self, status: int, body: bytes, **headers: str) -> None:
        """Answer with an error and a body of known length."""
        length = {"Content-Type": "application/json", "Content-Length": str(len(body))}
        await self._head(status, length, headers)
        await self.raw(body)

    async def cut(self) -> None:
        """Break the connection, so that the client's next read fails."""
        linger = struct.pack("ii", 1, 0)
        self._stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        await self._stream.aclose()

    async def close(self) -> None:
        """Close the connection in good order, whatever was promised."""
        await self._stream.aclose()

    async def wait_gone(self) -> None:
        """Return once the client has closed the connection."""
        try:
            while await self._stream.receive_some():
                pass
        except trio.BrokenResourceError:
            pass

    async def _head(self, status: int, head: Mapping[str, str], more: Mapping[str, str]) -> None:
        headers = {**head, **{name.replace("_", "-"): value for name, value in more.items()}}
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        await self.raw(f"HTTP/1.1 {status} Status\r\n{lines}\r\n".encode())


class FakeModelServer:
    """Answers the n-th request by the n-th act, whatever the connection it comes on.

    Attributes:
        url: what to set as `openai_url`.
        connections: how many have been accepted.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.acts: list[Act] = []
        self.requests: list[Exchange] = []
        self.connections = 0

    def plays(self, *acts: Act) -> None:
        self.acts += acts

    async def serve(self, stream: trio.SocketStream) -> None:
        self.connections += 1
        buffer = b""
        try:
            async with stream:
                while True:
                    while b"\r\n\r\n" not in buffer:
                        buffer += await _some(stream)
                    head, _, buffer = buffer.partition(b"\r\n\r\n")
                    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                    while len(buffer) < length:
                        buffer += await _some(stream)
                    exchange = Exchange(stream, head, buffer[:length])
                    buffer = buffer[length:]
                    self.requests.append(exchange)
                    await self.acts[len(self.requests) - 1](exchange)
        except (_GoneError, trio.BrokenResourceError, trio.ClosedResourceError):
            pass


class _GoneError(Exception):
    pass


async def _some(stream: trio.SocketStream) -> bytes:
    data = await stream.receive_some()
    if not data:
        raise _GoneError
    return bytes(data)


def piece(text: str) -> dict[str, Any]:
    """An event with a piece of a reply, as the protocol has it."""
    return {"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}]}


@asynccontextmanager
async def open_fake_model_server() -> AsyncIterator[FakeModelServer]:
    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        port = listeners[0].socket.getsockname()[1]
        server = FakeModelServer(f"http://127.0.0.1:{port}/v1")
        nursery.start_soon(trio.serve_listeners, server.serve, listeners)
        yield server
        nursery.cancel_scope.cancel()
