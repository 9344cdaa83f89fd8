"""Many websocket subscribers in a process of their own, as light as they can be.

`python -m benchmarks.subscribers HOST:PORT TARGET COUNT EXPECTED`: opens COUNT websockets, prints
`ready`, reads EXPECTED data frames from each, and prints as JSON when the first and the last frame
came (seconds, Unix time), and how late those with a time in them were (milliseconds).
"""

from __future__ import annotations

import json
import re
import sys
import time
from datetime import datetime

import trio

_AT = re.compile(rb'"at":"([^"]+)"')
_HANDSHAKE = (
    "GET {target} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


class Subscriber:
    def __init__(self, stream: trio.SocketStream, *, timed: bool) -> None:
        self._stream = stream
        self._buffer = bytearray()
        self._timed = timed
        self.late_ms: list[float] = []

    async def open(self, host: str, target: str) -> None:
        await self._stream.send_all(_HANDSHAKE.format(host=host, target=target).encode())
        while b"\r\n\r\n" not in self._buffer:
            self._buffer += await self._stream.receive_some()
        head, _, rest = bytes(self._buffer).partition(b"\r\n\r\n")
        assert b" 101 " in head, head
        self._buffer = bytearray(rest)
        await self.read(1)  # the first frame says that it is ready

    async def read(self, count: int) -> None:
        while count:
            found = self._frame()
            if found is None:
                data = await self._stream.receive_some(65536)
                assert data, "cut"
                self._buffer += data
            elif found:
                count -= 1

    def _frame(self) -> bool | None:
        """Take one frame; None when it is not there yet, False for one that is no text."""
        buffer = self._buffer
        if len(buffer) < 2:
            return None
        size, start = buffer[1] & 127, 2
        if size == 126:
            size, start = int.from_bytes(buffer[2:4], "big"), 4
        if len(buffer) < start + size:
            return None
        is_text = buffer[0] & 15 == 1
        if is_text and self._timed:
            self._note(bytes(buffer[start : start + size]))
        del buffer[: start + size]
        return is_text

    def _note(self, frame: bytes) -> None:
        found = _AT.search(frame)
        if found is not None:
            at = datetime.fromisoformat(found[1].decode()).timestamp()
            self.late_ms.append((time.time() - at) * 1000)  # noqa: TID251 - compared with the server's


async def main(where: str, target: str, count: int, expected: int) -> None:
    host, _, port = where.rpartition(":")
    subscribers: list[Subscriber] = []
    for number in range(count):
        stream = await trio.open_tcp_stream(host, int(port))
        subscriber = Subscriber(stream, timed=number < 10)
        await subscriber.open(where, target)
        subscribers.append(subscriber)
    print("ready", flush=True)
    await subscribers[0].read(1)
    first = time.time()  # noqa: TID251 - compared with the other process's
    async with trio.open_nursery() as nursery:
        for number, subscriber in enumerate(subscribers):
            nursery.start_soon(subscriber.read, expected - (number == 0))
    last = time.time()  # noqa: TID251 - compared with the other process's
    late = [ms for subscriber in subscribers for ms in subscriber.late_ms]
    print(json.dumps({"first": first, "last": last, "late_ms": late}), flush=True)


if __name__ == "__main__":
    trio.run(main, sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
