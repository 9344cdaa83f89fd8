"""A TCP proxy that stalls, cuts, slows down and swallows answers, as a test tells it to."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import trio

_CHUNK = 65_536


class Proxy:
    """Hands on what comes to `port`; made by `open_proxy`.

    What is told holds for the connections that are open and for those to come, until `resume`.
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self._open: dict[trio.SocketStream, trio.SocketStream] = {}
        self._passes = _Gate(), _Gate()  # to the server; back to the client
        self._refusing = False
        self.delay_s = 0.0
        self.port = 0
        self.accepted = 0

    def stall(self) -> None:
        """Let nothing through in either direction; connections stay open."""
        self.stall_requests()
        self.stall_answers()

    def stall_requests(self) -> None:
        """Let nothing through to the server."""
        self._passes[0].shut()

    def stall_answers(self) -> None:
        """Let nothing through to the client."""
        self._passes[1].shut()

    def hold_and_let_new_through(self) -> Callable[[], None]:
        """Keep what is stalled where it is, and let new connections through.

        Returns what lets the held ones go on.
        """
        held, self._passes = self._passes, (_Gate(), _Gate())

        def let_go() -> None:
            for gate in held:
                gate.open()

        return let_go

    async def cut(self, *, refuse: bool = True) -> None:
        """Cut every connection; take no new one either, unless told so."""
        self._refusing = refuse
        for stream in [*self._open, *self._open.values()]:
            await trio.aclose_forcefully(stream)

    def resume(self) -> None:
        """Let everything through again, first of all what was held back."""
        self._refusing = False
        self.delay_s = 0.0
        for gate in self._passes:
            gate.open()

    async def serve(self, client: trio.SocketStream) -> None:
        """Hand on one connection, until either side or `cut` ends it."""
        self.accepted += 1
        if self._refusing:
            await trio.aclose_forcefully(client)
            return
        with contextlib.suppress(OSError, trio.BrokenResourceError):
            server = await trio.open_tcp_stream("127.0.0.1", self._target)
            self._open[client] = server
            to_server, to_client = self._passes
            async with client, server, trio.open_nursery() as nursery:
                nursery.start_soon(self._hand_on, client, server, to_server, nursery)
                nursery.start_soon(self._hand_on, server, client, to_client, nursery)
            self._open.pop(client, None)

    async def _hand_on(
        self,
        source: trio.SocketStream,
        target: trio.SocketStream,
        gate: _Gate,
        nursery: trio.Nursery,
    ) -> None:
        with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            while data := await source.receive_some(_CHUNK):
                await gate.wait()
                if self.delay_s:
                    await trio.sleep(self.delay_s)
                await target.send_all(data)
        await gate.wait()  # an end is no faster than what came before it
        nursery.cancel_scope.cancel()


class _Gate:
    """Something to wait at, while it is shut."""

    def __init__(self) -> None:
        self._opened = trio.Event()
        self._opened.set()

    def shut(self) -> None:
        if self._opened.is_set():
            self._opened = trio.Event()

    def open(self) -> None:
        self._opened.set()

    async def wait(self) -> None:
        await self._opened.wait()


@asynccontextmanager
async def open_proxy(target: int) -> AsyncIterator[Proxy]:
    """Have a proxy to a port of this machine for the length of a block."""
    proxy = Proxy(target)
    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        proxy.port = listener.socket.getsockname()[1]
        nursery.start_soon(trio.serve_listeners, proxy.serve, [listener])
        yield proxy
        nursery.cancel_scope.cancel()
