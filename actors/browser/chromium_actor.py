"""One Chromium as an actor: its process, the connection to it, and the contexts in it.

The process lives in a job, inside `chromium.launch`, so it is reaped and its directory is gone
however the actor ends. A dead socket is not a dead browser: the job reattaches first, and only a
Chromium that cannot be reached any more is killed.
"""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Any, Final, Protocol

import msgspec
import structlog
import trio

from actors.browser.chromium import ChromiumError, ChromiumOptions, launch
from actors.browser.page import Browser, BrowserGone, Connector, Context, PageError
from engine import Actor, ActorRef, JobEnded, StopReason

_LOG: Final = structlog.get_logger("mooring.browser")
_PROCESS: Final = "process"
_PING_INTERVAL_S: Final = 10.0
_CONNECT_TRIES: Final = 3
_RECONNECT_S: Final = 0.1

OpenContexts = dict[str, Context]
"""The live contexts of this process by id: messages carry the id, this table has the thing."""


class ChromiumProcess(Protocol):
    """A running Chromium, as `actors.browser.chromium.Chromium` is one."""

    @property
    def endpoint(self) -> str: ...

    async def wait(self) -> int: ...

    def kill(self) -> None: ...


class Launcher(Protocol):
    """Starts a Chromium for the length of a block; `actors.browser.chromium.launch`."""

    def __call__(
        self, options: ChromiumOptions, /
    ) -> AbstractAsyncContextManager[ChromiumProcess]: ...


class OpenContext(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Tell: open one more; the pool hears `ContextOpened` or `ContextFailed`."""


class CloseContext(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Tell: dispose of it; a Chromium that does not is killed."""

    context_id: str


class ChromiumUp(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The driver is connected, for the first time or again; these contexts are there."""

    address: str
    context_ids: tuple[str, ...]


class ChromiumDown(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The connection is lost; `ChromiumUp` or `ChromiumGone` follows."""

    address: str


class ChromiumGone(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The process has ended."""

    address: str
    cause: str


class ContextOpened(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    address: str
    context_id: str


class ContextFailed(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    address: str
    cause: str


class ChromiumActor(Actor):
    """Keeps one Chromium; everything it learns goes to the pool as signals.

    Args:
        options: how to launch it.
        connect: the driver.
        contexts: the table that its live contexts are put into.
        pool: who hears of it.
        launcher: starts the process.
    """

    def __init__(
        self,
        options: ChromiumOptions,
        *,
        connect: Connector,
        contexts: OpenContexts,
        pool: ActorRef,
        launcher: Launcher = launch,
    ) -> None:
        self._options = options
        self._connect = connect
        self._contexts = contexts
        self._pool = pool
        self._launcher = launcher
        self._mine: dict[str, None] = {}
        self._jobs = 0
        self._chromium: ChromiumProcess | None = None
        self._browser: Browser | None = None
        self._connected = trio.Event()

    async def on_start(self) -> None:
        self.start_job(_PROCESS, self._run_process)

    def handle(self, message: Any) -> Any:
        match message:
            case OpenContext():
                self._start_numbered("open", self._open)
            case CloseContext(context_id=context_id):
                self._forget(context_id)
                self._start_numbered("close", self._close, context_id)
            case _:
                raise TypeError(f"{self.ref.address} does not know {message!r}")

    def handle_job_end(self, end: JobEnded) -> None:
        if end.name == _PROCESS:
            cause = "stopped" if end.error is None else str(end.error)
            self._pool.signal(ChromiumGone(address=self.ref.address, cause=cause))
            self.stop()
            if end.error is not None and not isinstance(end.error, ChromiumError):
                raise end.error
        elif isinstance(end.error, PageError):
            if end.name.startswith("open"):
                failed = ContextFailed(address=self.ref.address, cause=str(end.error))
                self._pool.signal(failed)
            elif self._chromium is not None and not isinstance(end.error, BrowserGone):
                _LOG.warning("chromium_keeps_context", actor=self.ref.address)
                self._chromium.kill()
        elif end.error is not None:
            raise end.error

    async def on_stop(self, reason: StopReason) -> None:
        for context_id in tuple(self._mine):
            self._forget(context_id)

    def _start_numbered(self, what: str, work: Any, *args: Any) -> None:
        self._jobs += 1
        self.start_job(f"{what}-{self._jobs}", work, *args)

    def _forget(self, context_id: str) -> None:
        self._mine.pop(context_id, None)
        self._contexts.pop(context_id, None)

    def _keep(self, context: Context) -> None:
        self._mine[context.id] = None
        self._contexts[context.id] = context

    # -- jobs ----------------------------------------------------------------------------------

    async def _open(self) -> None:
        browser = await self._wait_connected()
        context = await browser.open_context()
        self._keep(context)
        self._pool.signal(ContextOpened(address=self.ref.address, context_id=context.id))

    async def _close(self, context_id: str) -> None:
        # A context outlives the connection: one that is closed meanwhile is closed after it.
        browser = await self._wait_connected()
        await browser.close_context(context_id)

    async def _wait_connected(self) -> Browser:
        """Bounded by the process: it is reached again, or it is killed and this job with it."""
        while self._browser is None:
            await self._connected.wait()
        return self._browser

    async def _run_process(self) -> None:
        async with self._launcher(self._options) as chromium:
            self._chromium = chromium
            try:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._stay_connected, chromium)
                    status = await chromium.wait()
                    _LOG.warning("chromium_exited", actor=self.ref.address, status=status)
                    nursery.cancel_scope.cancel()
            finally:
                self._chromium = None

    async def _stay_connected(self, chromium: ChromiumProcess) -> None:
        failures = 0
        while failures < _CONNECT_TRIES:
            try:
                async with self._connect(chromium.endpoint) as browser:
                    await self._adopt(browser)
                    failures = 0
                    await self._serve(browser)
            except (PageError, OSError) as error:
                failures += 1
                _LOG.warning("chromium_not_reached", actor=self.ref.address, cause=str(error))
            await trio.sleep(_RECONNECT_S * max(1, failures))
        chromium.kill()
        await trio.sleep_forever()

    async def _serve(self, browser: Browser) -> None:
        self._browser = browser
        self._connected.set()
        up = ChromiumUp(address=self.ref.address, context_ids=tuple(self._mine))
        self._pool.signal(up)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._watch_pulse, browser)
                await browser.wait_gone()
                nursery.cancel_scope.cancel()
        finally:
            self._browser = None
            self._connected = trio.Event()
            self._pool.signal(ChromiumDown(address=self.ref.address))

    async def _adopt(self, browser: Browser) -> None:
        """Take over what is ours, and close the rest: half made or half closed when it was cut.

        Raises:
            PageError: this connection is lost too; what was not adopted yet stays ours.
        """
        there = await browser.context_ids()
        for context_id in tuple(self._mine):
            context = await self._adopted(browser, context_id) if context_id in there else None
            if context is None:
                self._forget(context_id)
            elif context_id in self._mine:  # else it was closed meanwhile
                self._keep(context)
        for context_id in there:
            if context_id not in self._mine:
                await browser.close_context(context_id)

    async def _adopted(self, browser: Browser, context_id: str) -> Context | None:
        try:
            return await browser.adopt_context(context_id)
        except PageError:
            await browser.ping()  # raises when it is the connection that has gone, not the page
            return None

    async def _watch_pulse(self, browser: Browser) -> None:
        """Kill a Chromium that does not answer twice in a row: it is frozen."""
        missed = 0
        while missed < 2:
            await trio.sleep(_PING_INTERVAL_S)
            try:
                await browser.ping()
                missed = 0
            except BrowserGone:
                return  # `wait_gone` tells it
            except PageError:
                missed += 1
        _LOG.warning("chromium_frozen", actor=self.ref.address)
        if self._chromium is not None:
            self._chromium.kill()
