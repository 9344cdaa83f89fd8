"""`actors.browser.page.Context`: an isolated profile of Chromium with one page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from actors.browser.driver.journal import Journal, address
from actors.browser.driver.page import ChromiumPage
from actors.browser.driver.storage import read_cookies, read_storage, write_cookies, write_storage
from actors.browser.driver.tab import Tab
from actors.browser.driver.wire import Wire
from actors.browser.page import BrowserState


class ChromiumContext:
    """What a session lives in. Every window but the page's own is closed as soon as it opens."""

    def __init__(self, wire: Wire, context_id: str) -> None:
        self._wire = wire
        self._id = context_id
        self._journal = Journal()
        self._windows: set[str] = set()
        self._popups_closed = 0
        self._tab = Tab(
            wire,
            context_id,
            self._journal,
            on_attach=self._close_strays,
            on_discard=self._windows.discard,
        )
        self._page = ChromiumPage(wire, self._tab, self._journal)

    @property
    def id(self) -> str:
        return self._id

    @property
    def page(self) -> ChromiumPage:
        return self._page

    @property
    def popups_closed(self) -> int:
        return self._popups_closed

    @property
    def dialogs_dismissed(self) -> int:
        return self._tab.dialogs.dismissed

    async def save(self) -> BrowserState:
        with self._journal.step("save"):
            cookies = await read_cookies(self._wire, self._id)
            storage = await read_storage(self._tab)
            # The address last: that the page has moved on is heard before these are answered.
            return BrowserState(url=self._tab.url, cookies=cookies, storage=storage)

    async def restore(self, state: BrowserState) -> None:
        with self._journal.step("restore"):
            await write_cookies(self._wire, self._id, state.cookies)
            for origin in await write_storage(self._tab, state.storage):
                self._journal.note(f"storage of {address(origin)} not restored")

    async def open(self) -> None:
        """Make the page."""
        self._deny_downloads()
        await self._tab.open()

    async def adopt(self, windows: Sequence[Mapping[str, Any]]) -> None:
        """Take over the page among the windows that exist, and close the others."""
        self._deny_downloads()
        # Strays have an opener; without one it is the window that `open` made.
        own = next((each for each in windows if "openerId" not in each), windows[0])
        self._windows |= {each["targetId"] for each in windows}
        await self._tab.take(own["targetId"], own["url"])

    def closed(self) -> None:
        """The context is given up: whatever waits for its page ends at once."""
        self._tab.lost("the context was closed")

    def window_opened(self, target_id: str) -> None:
        """Chromium has a new window in this context."""
        self._windows.add(target_id)
        self._close_strays()

    def window_closed(self, target_id: str) -> None:
        """A window of Chromium has gone; it may not have been one of this context."""
        self._windows.discard(target_id)
        if target_id == self._tab.target_id:
            self._journal.note("the tab was closed")
            self._tab.lost("the tab has closed")

    def window_crashed(self, target_id: str) -> None:
        """The renderer of a window has ended; it may not have been one of this context."""
        if target_id == self._tab.target_id:
            self._tab.crashed()

    def _close_strays(self) -> None:
        if self._tab.target_id is None:
            return  # one of them is the page's, and which will be known in a moment
        for stray in self._windows - {self._tab.target_id}:
            self._windows.discard(stray)
            self._popups_closed += 1
            self._journal.note("a window that the page opened was closed")
            self._wire.browser.post("Target.closeTarget", {"targetId": stray})

    def _deny_downloads(self) -> None:
        behaviour = {"behavior": "deny", "browserContextId": self._id}
        self._wire.browser.post("Browser.setDownloadBehavior", behaviour)
