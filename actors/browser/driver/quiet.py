"""Making pyppeteer's asyncio forgiving enough for Trio's cancellation.

pyppeteer keeps a future for each command. An answer that comes when nobody waits any more must end
nothing: not the connection's receive loop, and not, by an error that was never retrieved, the
whole loop. And whatever pyppeteer started must be found again when the connection is left.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import structlog
import trio_asyncio

_log = structlog.get_logger(__name__)


class QuietFuture(asyncio.Future[Any]):
    """A future that takes its first outcome, ignores later ones, and complains of nothing.

    pyppeteer answers a future twice when the socket closes under a command, and it drops the
    futures of the envelopes that a tab's commands travel in.
    """

    def set_result(self, result: Any) -> None:
        if not self.done():
            super().set_result(result)

    def set_exception(self, exception: type | BaseException) -> None:
        if not self.done():
            super().set_exception(exception)
            self.exception()  # counts as retrieved: asyncio reports nothing when it is dropped


class QuietLoop:
    """The running loop as pyppeteer sees it: its futures are quiet, its tasks are remembered."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._tasks: set[asyncio.Task[Any]] = set()

    def create_future(self) -> QuietFuture:
        return QuietFuture(loop=self._loop)

    def create_task(self, coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = self._loop.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._forget)
        return task

    async def end_tasks(self) -> None:
        """Cancel every task that is left, and return once they have ended. Trio-flavoured."""
        for task in tuple(self._tasks):
            task.cancel()
        for task in tuple(self._tasks):
            await trio_asyncio.aio_as_trio(asyncio.wait)({task})

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        # The wire notices the end of the receive loop by itself; asyncio need not report it.
        if not task.cancelled():
            task.exception()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loop, name)


def log_loop_error(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log what trio-asyncio would end the whole loop for; never what was sent or received."""
    error = context.get("exception")
    _log.warning("asyncio_error", message=context.get("message"), error=type(error).__name__)
