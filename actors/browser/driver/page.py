"""`actors.browser.page.Page` in a tab of Chromium."""

from __future__ import annotations

import base64
import math
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Any, Final

import trio

from actors.browser.driver import scripts
from actors.browser.driver.journal import Journal, address
from actors.browser.driver.line import CommandRefused
from actors.browser.driver.outcome import Interrupted
from actors.browser.driver.tab import Tab
from actors.browser.driver.wire import Wire
from actors.browser.page import NavigationFailed, PageTimeout

_ACTION_TIMEOUT_S: Final = 10.0
_SLICE_S: Final = 1.0
_RETRY_S: Final = 0.02
_HTML_MAX_CHARS: Final = 10_000_000
_LOOKS_MAX: Final = 10


class ChromiumPage:
    """One tab. Only one task may use it at a time."""

    def __init__(self, wire: Wire, tab: Tab, journal: Journal) -> None:
        self._wire = wire
        self._tab = tab
        self._journal = journal

    @property
    def url(self) -> str:
        return self._tab.url

    @property
    def journal(self) -> tuple[str, ...]:
        return self._journal.steps

    async def goto(self, url: str, *, timeout_s: float) -> int:
        where = address(url)
        with self._journal.step(f"goto {where}"):
            try:
                with trio.fail_after(timeout_s):
                    return await self._tab.navigate(url)
            except CommandRefused as error:
                raise NavigationFailed(where, error.cause) from error
            except trio.TooSlowError:
                self._tab.stop()
                await self._wire.prove_alive()
                raise NavigationFailed(where, f"no answer within {timeout_s:g} s") from None
            except BaseException:
                self._tab.stop()
                raise

    async def evaluate(self, function: str, *args: Any) -> Any:
        with self._journal.step("evaluate"):
            return await self._tab.evaluate(scripts.calling(function, *args))

    async def wait_until(self, function: str, *args: Any, timeout_s: float, what: str) -> Any:
        with self._journal.step(f"wait until {what}"):
            return await self._poll(function, *args, timeout_s=timeout_s, what=what)

    async def wait_for(self, selector: str, *, timeout_s: float) -> None:
        with self._journal.step(f"wait for {selector}"):
            await self._poll(scripts.VISIBLE, selector, timeout_s=timeout_s, what=selector)

    async def fill(self, selector: str, text: str) -> None:
        with self._journal.step(f"fill {selector}"):
            what = f"{selector} to be filled"
            await self._poll(scripts.FILL, selector, text, timeout_s=_ACTION_TIMEOUT_S, what=what)

    async def click(self, selector: str) -> None:
        with self._journal.step(f"click {selector}"):
            what = f"{selector} to be clicked"
            point = await self._poll(
                scripts.CLICK_POINT, selector, timeout_s=_ACTION_TIMEOUT_S, what=what
            )
            await self._click_at(point)

    async def html(self) -> str:
        with self._journal.step("html"):
            read = scripts.calling(scripts.HTML, _HTML_MAX_CHARS)
            text: str = await _while_moving(lambda: self._tab.evaluate(read))
            return text

    async def screenshot(self) -> bytes:
        with self._journal.step("screenshot"):
            take = partial(self._tab.call, "Page.captureScreenshot", {"format": "png"})
            shot = await _while_moving(take)
            return base64.b64decode(shot["data"])

    async def _poll(self, function: str, *args: Any, timeout_s: float, what: str) -> Any:
        deadline = trio.current_time() + timeout_s
        with trio.CancelScope(deadline=deadline):
            while (left := deadline - trio.current_time()) > 0:
                slice_ms = round(min(left, _SLICE_S) * 1000)
                expression = scripts.polling(function, *args, slice_ms=slice_ms)
                try:
                    if found := await self._tab.evaluate(expression, timeout_s=math.inf):
                        return found[0]
                except Interrupted:
                    await trio.sleep(_RETRY_S)
        await self._wire.prove_alive()
        raise PageTimeout(what, timeout_s)

    async def _click_at(self, point: dict[str, float]) -> None:
        press = point | {"button": "left", "clickCount": 1}
        line = self._tab.line
        posted = [
            line.post("Input.dispatchMouseEvent", {"type": kind, **event})
            for kind, event in (
                ("mouseMoved", point),
                ("mousePressed", press | {"buttons": 1}),
                ("mouseReleased", press),
            )
        ]
        for future in posted:
            try:
                await line.answer(future, "Input.dispatchMouseEvent")
            except CommandRefused:
                # The click has begun to open another page, and this one's renderer is leaving.
                return


async def _while_moving(look: Callable[[], Awaitable[Any]]) -> Any:
    """Look again when the page went from one document to the next meanwhile, a few times."""
    for _ in range(_LOOKS_MAX):
        with suppress(CommandRefused, Interrupted):
            return await look()
        await trio.sleep(_RETRY_S)
    return await look()
