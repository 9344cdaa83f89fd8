"""A relay between the driver and Chromium, to cut the wire from below."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

import trio


class Relay:
    """Hands every byte on, until it is cut."""

    def __init__(self, endpoint: str) -> None:
        self._to = urlsplit(endpoint)
        self._cuts: list[trio.CancelScope] = []
        self.endpoint = ""

    def cut(self) -> None:
        """Drop every connection; new ones are taken."""
        for each in self._cuts:
            each.cancel()

    async def serve(self, near: trio.SocketStream) -> None:
        far = await trio.open_tcp_stream("127.0.0.1", self._to.port or 0)
        with trio.CancelScope() as scope:
            self._cuts.append(scope)
            async with near, far, trio.open_nursery() as nursery:
                nursery.start_soon(_copy, near, far)
                await _copy(far, near)
                nursery.cancel_scope.cancel()


async def _copy(source: trio.SocketStream, sink: trio.SocketStream) -> None:
    with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
        while chunk := await source.receive_some():
            await sink.send_all(chunk)


@asynccontextmanager
async def relaying(endpoint: str) -> AsyncIterator[Relay]:
    """A relay to the endpoint for as long as the body runs."""
    relay = Relay(endpoint)
    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        port = listeners[0].socket.getsockname()[1]
        relay.endpoint = f"ws://127.0.0.1:{port}{urlsplit(endpoint).path}"
        nursery.start_soon(trio.serve_listeners, relay.serve, listeners)
        yield relay
        nursery.cancel_scope.cancel()
