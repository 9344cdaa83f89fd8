"""Many websocket subscribers in a process of their own, as light as they can be.

`python -m benchmarks.subscribers HOST:PORT COUNT EXPECTED TARGET…`: opens COUNT websockets, dealt
out among the targets, prints `ready`, reads EXPECTED data frames from each, and prints as JSON when
the first and the last frame came (seconds, Unix time), how large they were on average, and how late
those with a time in them were (milliseconds). With EXPECTED 0 it stays idle until its input ends.
"""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Sequence
from datetime import datetime

import trio

_AT = re.compile(rb'"at":"([^"]+)"')
_TIMED = 10  # so many of them look at the time: it is the server that is measured
_HANDSHAKE = (
    "GET {target} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


class Subscriber:
    """One websocket; what it reads it forgets, unless `keep` does something with it."""

    def __init__(self, stream: trio.SocketStream, *, timed: bool = False) -> None:
        self._stream = stream
        self._buffer = bytearray()
        self._timed = timed
        self.bytes = 0
        self.late_ms: list[float] = []

    async def open(self, host: str, target: str) -> None:
        await self._stream.send_all(_HANDSHAKE.format(host=host, target=target).encode())
        while b"\r\n\r\n" not in self._buffer:
            self._buffer += await self._stream.receive_some()
        head, _, rest = bytes(self._buffer).partition(b"\r\n\r\n")
        assert b" 101 " in head, head
        self._buffer = bytearray(rest)
        await self.read(1)  # the first frame says that it is ready
        self.bytes = 0

    async def read(self, count: int) -> None:
        """Read so many texts."""
        while count:
            found = self._frame()
            if found is None:
                data = await self._stream.receive_some(65536)
                assert data, "cut"
                self._buffer += data
            elif found:
                count -= 1

    def keep(self, text: bytes) -> None:
        """Called with each text of one that is timed."""
        found = _AT.search(text)
        if found is not None:
            at = datetime.fromisoformat(found[1].decode()).timestamp()
            self.late_ms.append((time.time() - at) * 1000)  # noqa: TID251 - compared with the server's

    def _frame(self) -> bool | None:
        """Take one frame; None when it is not there yet, False for one that is no text."""
        buffer = self._buffer
        if len(buffer) < 2:
            return None
        size, start = buffer[1] & 127, 2
        if size == 126:
            size, start = int.from_bytes(buffer[2:4], "big"), 4
        elif size == 127:
            size, start = int.from_bytes(buffer[2:10], "big"), 10
        if len(buffer) < start + size:
            return None
        is_text = buffer[0] & 15 == 1
        if is_text:
            self.bytes += size
            if self._timed:
                self.keep(bytes(buffer[start : start + size]))
        del buffer[: start + size]
        return is_text


async def subscribe(where: str, targets: Sequence[str], count: int) -> list[Subscriber]:
    """Open so many subscribers, dealt out among the targets."""
    host, _, port = where.rpartition(":")
    subscribers: list[Subscriber] = []
    every = max(1, count // _TIMED)
    for number in range(count):
        stream = await trio.open_tcp_stream(host, int(port))
        subscriber = Subscriber(stream, timed=number % every == 0)
        await subscriber.open(where, targets[number % len(targets)])
        subscribers.append(subscriber)
    return subscribers


async def main(where: str, count: int, expected: int, targets: Sequence[str]) -> None:
    subscribers = await subscribe(where, targets, count)
    print("ready", flush=True)
    if not expected:
        await trio.to_thread.run_sync(sys.stdin.read)
        return
    await subscribers[0].read(1)
    first = time.time()  # noqa: TID251 - compared with the other process's
    async with trio.open_nursery() as nursery:
        for number, subscriber in enumerate(subscribers):
            nursery.start_soon(subscriber.read, expected - (number == 0))
    last = time.time()  # noqa: TID251 - compared with the other process's
    size = sum(subscriber.bytes for subscriber in subscribers) / (count * expected)
    late = [ms for subscriber in subscribers for ms in subscriber.late_ms]
    found = {"first": first, "last": last, "size_bytes": size, "late_ms": late}
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    trio.run(main, sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:])
