"""Commands and their answers, to a browser or to one of its tabs.

Laws of this file: every call has a deadline; a call that is cancelled or late leaves nothing
behind that could disturb another; once a line is cut, everything pending and everything later
raises `BrowserGone` at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import structlog
import trio

from actors.browser.page import BrowserGone, PageError, PageTimeout

_log = structlog.get_logger(__name__)

CALL_TIMEOUT_S: Final = 10.0


class CommandRefused(PageError):
    """Chromium answered a command with an error."""

    def __init__(self, method: str, cause: str) -> None:
        super().__init__(f"{method}: {cause}")
        self.method = method
        self.cause = cause


class Line:
    """Where CDP commands go.

    Args:
        peer: pyppeteer's `Connection` or `CDPSession`.
        prove_alive: called when an answer is overdue; raises `BrowserGone` when the whole browser
            is silent.
    """

    def __init__(self, peer: Any, *, prove_alive: Callable[[], Awaitable[None]]) -> None:
        self._peer = peer
        self._prove_alive = prove_alive
        self._waiting: set[trio.Event] = set()
        self._cut: str | None = None

    @property
    def is_cut(self) -> bool:
        return self._cut is not None

    def cut(self, why: str) -> None:
        """End every pending call, and refuse all later ones. The first reason stands."""
        if self._cut is None:
            self._cut = why
            for waiting in self._waiting:
                waiting.set()

    def mend(self) -> None:
        """Take commands again."""
        self._cut = None

    def on(self, event: str, handler: Callable[[dict[str, Any]], None]) -> None:
        """Call `handler` with the parameters of each such event; it must not block."""

        def guarded(params: dict[str, Any]) -> None:
            # An error here would end pyppeteer's receive loop, and with it every tab.
            try:
                handler(params)
            except Exception as error:
                _log.exception("driver_event_failed", event_name=event, error=type(error).__name__)

        self._peer.on(event, guarded)

    def post(self, method: str, params: Mapping[str, Any] | None = None) -> asyncio.Future[Any]:
        """Send a command whose answer may come or not; commands are carried out in order.

        Raises:
            BrowserGone: the line is cut.
        """
        if self._cut is not None:
            raise BrowserGone(self._cut)
        try:
            future: asyncio.Future[Any] = self._peer.send(method, params)
        except Exception as error:  # pyppeteer raises what it likes when the peer has closed
            raise BrowserGone(f"{method} could not be sent") from error
        return future

    async def call(
        self,
        method: str,
        params: Mapping[str, Any] | None = None,
        *,
        timeout_s: float = CALL_TIMEOUT_S,
    ) -> Any:
        """Send a command and return its answer.

        Raises:
            CommandRefused: Chromium says no.
            PageTimeout: no answer within `timeout_s`, though the browser itself answers.
            BrowserGone: the line is or was cut, or the whole browser is silent.
        """
        return await self.answer(self.post(method, params), method, timeout_s=timeout_s)

    async def answer(
        self, future: asyncio.Future[Any], method: str, *, timeout_s: float = CALL_TIMEOUT_S
    ) -> Any:
        """Return the answer to a posted command; raises as `call` does."""
        if not await self.answered(future, timeout_s):
            await self._prove_alive()
            raise PageTimeout(f"the answer to {method}", timeout_s)
        if not future.done():
            raise BrowserGone(self._cut or "the connection is gone")
        error = future.exception()
        if error is not None:
            raise self._as_ours(error, method)
        if future.result() is None:  # what pyppeteer answers when the socket closed under it
            raise BrowserGone("the connection is gone")
        return future.result()

    async def call_all(self, *commands: tuple[str, Mapping[str, Any]]) -> None:
        """Send all commands at once, and return when each has been answered; raises as `call`."""
        posted = [(method, self.post(method, params)) for method, params in commands]
        for method, future in posted:
            await self.answer(future, method)

    async def answered(self, future: asyncio.Future[Any], timeout_s: float) -> bool:
        """Wait for an answer or a cut; return whether there was either within `timeout_s`."""
        if self._cut is not None:
            raise BrowserGone(self._cut)
        over = trio.Event()
        future.add_done_callback(lambda _: over.set())
        self._waiting.add(over)
        try:
            with trio.move_on_after(timeout_s):
                await over.wait()
        finally:
            self._waiting.discard(over)
        return over.is_set()

    def _as_ours(self, error: BaseException, method: str) -> PageError:
        cause = str(error).removeprefix(f"Protocol error ({method}): ")
        if self._cut is not None or cause.endswith("Target closed."):
            return BrowserGone(self._cut or "the tab or its connection has closed")
        return CommandRefused(method, cause)
