"""A small web site on loopback, made of Trio sockets, that tests can make misbehave."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import trio

Headers = tuple[tuple[str, str], ...]
Reply = tuple[int, Headers, str]


def page(html: str, *headers: tuple[str, str], status: int = 200) -> Reply:
    """A reply with an HTML document."""
    return status, (("Content-Type", "text/html; charset=utf-8"), *headers), html


class Site:
    """What is served at which path, and what was asked for.

    A path whose reply is None is never answered. What a test puts into `pages` holds at once.
    """

    def __init__(self) -> None:
        self.url = ""
        self.port = 0
        self.pages: dict[str, Reply | None] = {}
        self.requests: list[str] = []
        self.cookies: list[str] = []
        self.connections = 0
        self._asked = trio.Event()

    async def wait_asked(self, path: str) -> None:
        """Return once the path has been asked for."""
        while path not in self.requests:
            await self._asked.wait()

    async def serve(self, stream: trio.SocketStream) -> None:
        self.connections += 1
        received = b""
        try:
            async with stream:
                while chunk := await stream.receive_some():
                    received += chunk
                    while b"\r\n\r\n" in received:
                        head, _, received = received.partition(b"\r\n\r\n")
                        await self._answer(stream, head.decode())
        except trio.BrokenResourceError:
            pass

    async def _answer(self, stream: trio.SocketStream, head: str) -> None:
        request, *lines = head.split("\r\n")
        path = request.split()[1]
        headers = _parse(lines)
        self.cookies.append(headers.get("cookie", ""))
        self.requests.append(path)
        self._asked.set()
        self._asked = trio.Event()
        reply = self.pages.get(path.partition("?")[0], page("not found", status=404))
        if reply is None:
            await trio.sleep_forever()
        status, given, text = reply
        body = text.encode()
        told = "".join(f"{name}: {value}\r\n" for name, value in given)
        start = f"HTTP/1.1 {status} Said\r\n{told}Content-Length: {len(body)}\r\n\r\n"
        await stream.send_all(start.encode() + body)


def _parse(lines: list[str]) -> Mapping[str, str]:
    pairs = (line.partition(":") for line in lines)
    return {name.strip().lower(): value.strip() for name, _, value in pairs}


@asynccontextmanager
async def serving() -> AsyncIterator[Site]:
    """A site for as long as the body runs."""
    site = Site()
    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        site.port = listeners[0].socket.getsockname()[1]
        site.url = f"http://127.0.0.1:{site.port}"
        nursery.start_soon(trio.serve_listeners, site.serve, listeners)
        yield site
        nursery.cancel_scope.cancel()
