"""The driver's one door."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from actors.browser.driver.browser import ChromiumBrowser
from actors.browser.driver.wire import open_wire


@asynccontextmanager
async def connect(endpoint: str) -> AsyncIterator[ChromiumBrowser]:
    """Connect to a running Chromium; implements `actors.browser.page.Connector`.

    Needs trio-asyncio's loop, opened once around everything (`trio_asyncio.open_loop`). On leaving,
    no task or socket is left, and the contexts stay in Chromium: a later connection can adopt them.
    Starts no process and ends none.

    Raises:
        BrowserGone: nothing listens at the endpoint, or it did not answer within 5 s.
    """
    async with open_wire(endpoint) as wire:
        browser = ChromiumBrowser(wire)
        await browser.watch()
        yield browser
