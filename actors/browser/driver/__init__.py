"""Driving Chromium: the one place where pyppeteer, asyncio and trio-asyncio are met.

`connect` implements `actors.browser.page.Connector`; everything else is private.
"""

from actors.browser.driver.connect import connect

__all__ = ["connect"]
