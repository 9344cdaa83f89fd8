"""The socket under a connection, with an end to every send.

Hypercorn shields its sends from cancellation, so a client that stops reading would hold a server's
stop for ever. Here a send that makes no progress for `SEND_TIMEOUT_S` gives the connection up, and
`abort` ends it at once, whoever waits in it.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import sys
from typing import Final

import trio

# A reader whose socket takes nothing for this long while there is something to send is cut.
SEND_TIMEOUT_S: Final = 90.0
_CHUNK_BYTES: Final = 64 * 1024
# Linger for 0 s: the kernel drops what was not taken, and the client sees a reset.
_LINGER_NOT: Final = struct.pack("ii", 1, 0)
# Of Linux's tcp_info: tcpi_unacked and tcpi_last_ack_recv, behind 24 and a further 28 bytes.
_TCP_INFO: Final = struct.Struct("=24xI28xI")


class Transport(trio.abc.HalfCloseableStream):
    """A TCP stream that never waits for ever for a client to read."""

    def __init__(self, stream: trio.SocketStream, *, send_timeout_s: float) -> None:
        self._stream = stream
        self._send_timeout_s = send_timeout_s
        self._sent_since: float | None = None  # when something was first seen to be on its way

    @property
    def socket(self) -> trio.socket.SocketType:
        """Under the name that Hypercorn looks for."""
        return self._stream.socket

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send everything, as long as each 64 KiB goes out within the timeout.

        Raises:
            BrokenResourceError: the client took nothing, or has gone.
        """
        view = memoryview(data)
        # Nothing to send is still passed on: it is how a closed stream is noticed.
        for start in range(0, max(len(view), 1), _CHUNK_BYTES):
            with trio.move_on_after(self._send_timeout_s) as scope:
                await self._stream.send_all(view[start : start + _CHUNK_BYTES])
            if scope.cancelled_caught:
                self.abort()
                raise trio.BrokenResourceError("the client takes nothing")

    def send_nowait(self, data: bytes) -> int:
        """Send what the system takes at once, and return how many bytes that was.

        Not while a `send_all` is under way. An error counts as nothing taken: the next `send_all`
        meets it as well.
        """
        try:
            return os.write(self.socket.fileno(), data)
        except OSError:
            return 0

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def send_eof(self) -> None:
        await self._stream.send_eof()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        return await self._stream.receive_some(max_bytes)

    async def aclose(self) -> None:
        await self._stream.aclose()

    def silent_s(self, now: float) -> float:
        """Return for how long the client's machine has confirmed nothing of what was sent to it; 0
        when nothing is on its way, or the system does not tell. A slow reader's machine confirms.

        To be asked again and again: it counts from when something was first seen on its way, since
        the last confirmation may be old just because nothing was sent.
        """
        on_the_way, confirmed_ago_s = _tcp_info(self.socket)
        if not on_the_way:
            self._sent_since = None
            return 0.0
        if self._sent_since is None:
            self._sent_since = now
        return min(now - self._sent_since, confirmed_ago_s)

    def abort(self) -> None:
        """Drop the connection now; pending sends and receives fail at once."""
        with contextlib.suppress(OSError):  # closed already
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
        self.socket.close()


def _tcp_info(connection: trio.socket.SocketType) -> tuple[int, float]:
    """Return how many segments are on their way, and seconds since the last was confirmed."""
    if not hasattr(socket, "TCP_INFO") or sys.platform != "linux":
        return 0, 0.0
    try:
        told = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO.size)
    except OSError:
        return 0, 0.0  # closed already
    if len(told) < _TCP_INFO.size:
        return 0, 0.0
    on_the_way, ago_ms = _TCP_INFO.unpack(told)
    return on_the_way, ago_ms / 1000
