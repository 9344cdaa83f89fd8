"""One connection to one Chromium: pyppeteer's, made safe to cancel and certain to end."""

from __future__ import annotations

import asyncio
import logging
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import trio
import trio_asyncio
from pyppeteer.connection import Connection

from actors.browser.driver.line import Line
from actors.browser.driver.quiet import QuietLoop, log_loop_error
from actors.browser.driver.socket import Socket
from actors.browser.page import BrowserGone

_OPEN_TIMEOUT_S: Final = 5.0
_PING_TIMEOUT_S: Final = 5.0
_CLOSE_TIMEOUT_S: Final = 2.0


class Wire:
    """The line to the browser, and what its lines to tabs have in common."""

    def __init__(self, connection: Any, loop: QuietLoop, socket: Socket) -> None:
        self._connection = connection
        self._loop = loop
        self._socket = socket
        self._tabs: set[Line] = set()
        self.gone = trio.Event()
        self.browser = Line(connection, prove_alive=self.prove_alive)

    async def open(self) -> None:
        """Return once commands can be sent.

        Raises:
            BrowserGone: nothing listens at the endpoint, or it is silent.
        """
        with trio.move_on_after(_OPEN_TIMEOUT_S):
            await self._socket.settled.wait()
        if not self._socket.is_open:
            raise BrowserGone("Chromium cannot be reached")

    async def attach(self, target_id: str) -> Line:
        """Return a line to the tab; drop it with `detach`.

        Raises:
            CommandRefused: there is no such tab.
        """
        tab = {"targetId": target_id, "type": "page"}
        attaching = self._loop.create_task(self._connection.createSession(tab))
        session = await self.browser.answer(attaching, "Target.attachToTarget")
        line = Line(session, prove_alive=self.prove_alive)
        self._tabs.add(line)
        return line

    def detach(self, line: Line, why: str) -> None:
        """Cut a line whose tab has gone."""
        self._tabs.discard(line)
        line.cut(why)

    async def prove_alive(self) -> None:
        """Return if the browser answers.

        Raises:
            BrowserGone: it does not within 5 s; the connection is then given up.
        """
        ping = self.browser.post("Browser.getVersion")
        if not await self.browser.answered(ping, _PING_TIMEOUT_S):
            self.lose("Chromium does not answer any more")
        await self.browser.answer(ping, "Browser.getVersion")

    def lose(self, why: str) -> None:
        """Give the connection up: all that is pending or comes later raises `BrowserGone`."""
        self.gone.set()
        self.browser.cut(why)
        for line in tuple(self._tabs):
            self.detach(line, why)
        self._socket.abort()

    async def close(self) -> None:
        """Leave no task and no socket. Shielded, with a deadline."""
        with trio.move_on_after(_CLOSE_TIMEOUT_S, shield=True):
            self.lose("the connection was closed")
            await self._socket.wait_closed()
            await self._loop.end_tasks()


@asynccontextmanager
async def open_wire(endpoint: str) -> AsyncIterator[Wire]:
    """Connect to the endpoint of a Chromium.

    Raises:
        BrowserGone: nothing listens there, or it did not answer within 5 s.
    """
    loop: asyncio.AbstractEventLoop = trio_asyncio.current_loop.get()
    loop.set_exception_handler(log_loop_error)
    _silence_transcripts()
    wire = _make_wire(endpoint, QuietLoop(loop))
    try:
        await wire.open()
        yield wire
    finally:
        await wire.close()


def _make_wire(endpoint: str, loop: QuietLoop) -> Wire:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "remove loop argument", DeprecationWarning)
        connection = Connection(endpoint, loop)
    # Its receive loop has not taken its first step yet, so it enters our socket and not its own.
    socket = connection._ws = Socket(endpoint)
    wire = Wire(connection, loop, socket)
    connection.setClosedCallback(lambda: wire.lose("the connection to Chromium was lost"))
    connection._recv_fut.add_done_callback(lambda _: wire.lose("the connection to Chromium ended"))
    return wire


def _silence_transcripts() -> None:
    # At DEBUG they write down every command: passwords, cookies, storage.
    logging.getLogger("pyppeteer").setLevel(logging.CRITICAL)
    logging.getLogger("websockets").setLevel(logging.CRITICAL)
