"""`actors.browser.page.Browser` over one connection."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

import trio

from actors.browser.driver.context import ChromiumContext
from actors.browser.driver.line import CommandRefused
from actors.browser.driver.wire import Wire
from actors.browser.page import BrowserGone

_BIRTH_TIMEOUT_S: Final = 5.0
_WINDOWS: Final = [{"type": "page"}]


class ChromiumBrowser:
    """A connection to one Chromium; touches only the contexts that it opened or adopted."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._contexts: dict[str, ChromiumContext] = {}

    async def watch(self) -> None:
        """Begin to be told of windows."""
        on = self._wire.browser.on
        on("Target.targetCreated", self._window_opened)
        on("Target.targetDestroyed", self._window_closed)
        on("Target.targetCrashed", self._window_crashed)
        discover = {"discover": True, "filter": _WINDOWS}
        await self._wire.browser.call("Target.setDiscoverTargets", discover)

    async def open_context(self) -> ChromiumContext:
        # Shielded, because a context whose id nobody learns could never be closed.
        with trio.CancelScope(shield=True):
            made = await self._wire.browser.call(
                "Target.createBrowserContext", timeout_s=_BIRTH_TIMEOUT_S
            )
        context = ChromiumContext(self._wire, made["browserContextId"])
        self._contexts[context.id] = context
        try:
            await context.open()
        except BaseException:
            self._forget(context.id)
            with suppress(BrowserGone):
                where = {"browserContextId": context.id}
                self._wire.browser.post("Target.disposeBrowserContext", where)
            raise
        return context

    def _forget(self, context_id: str) -> None:
        if context := self._contexts.pop(context_id, None):
            context.closed()

    async def adopt_context(self, context_id: str) -> ChromiumContext:
        known = self._contexts.get(context_id)
        if known is not None:
            return known
        found = await self._wire.browser.call("Target.getTargets", {"filter": _WINDOWS})
        windows = [each for each in found["targetInfos"] if _context_of(each) == context_id]
        if not windows:
            raise BrowserGone(f"context {context_id} has no page any more")
        context = self._contexts[context_id] = ChromiumContext(self._wire, context_id)
        try:
            await context.adopt(windows)
        except BaseException:
            self._forget(context_id)
            raise
        return context

    async def close_context(self, context_id: str) -> None:
        self._forget(context_id)
        with suppress(CommandRefused):  # there is none of this id
            where = {"browserContextId": context_id}
            await self._wire.browser.call("Target.disposeBrowserContext", where)

    async def context_ids(self) -> tuple[str, ...]:
        answer = await self._wire.browser.call("Target.getBrowserContexts")
        return tuple(answer["browserContextIds"])

    async def ping(self) -> None:
        await self._wire.prove_alive()

    async def wait_gone(self) -> None:
        await self._wire.gone.wait()

    def _window_opened(self, params: dict[str, Any]) -> None:
        window = params["targetInfo"]
        context = self._contexts.get(_context_of(window))
        # A prerendered page is a target as well, but no window.
        if context is not None and "subtype" not in window:
            context.window_opened(window["targetId"])

    def _window_closed(self, params: dict[str, Any]) -> None:
        for context in tuple(self._contexts.values()):
            context.window_closed(params["targetId"])

    def _window_crashed(self, params: dict[str, Any]) -> None:
        for context in tuple(self._contexts.values()):
            context.window_crashed(params["targetId"])


def _context_of(window: Mapping[str, Any]) -> str:
    context_id: str = window.get("browserContextId", "")
    return context_id
