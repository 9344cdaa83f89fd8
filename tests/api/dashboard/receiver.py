"""A partner's server that takes webhooks."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio


@asynccontextmanager
async def receiver(status: int, said: str) -> AsyncIterator[str]:
    """A partner's server that gives every delivery the same answer; yields its URL."""
    body = said.encode()
    answer = b"HTTP/1.1 %d .\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % (
        status,
        len(body),
    )

    async def take(stream: trio.SocketStream) -> None:
        data = b""
        while b"\r\n\r\n" not in data:
            data += await stream.receive_some()
        head, _, rest = data.partition(b"\r\n\r\n")
        length = int(re.findall(rb"(?i)content-length: (\d+)", head)[0])
        while len(rest) < length:
            rest += await stream.receive_some()
        await stream.send_all(answer + body)

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(trio.serve_tcp, take, 0)
        yield f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}/hook"
        nursery.cancel_scope.cancel()
